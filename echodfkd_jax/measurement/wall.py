"""The left ventricle's wall: its thickness at mid level, on either side, and its area."""

import math
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float64

from echodfkd_jax.measurement.outline import Outline, is_cut

# The middle third of the long axis: between the basal and the apical segments.
_MID_LEVEL = (1 / 3, 2 / 3)


class Thickness(NamedTuple):
    """Pixels; nan where there is no wall or the picture's edge cuts it.

    Attributes:
        left: of the wall on the left of the picture.
        right: of the other one.
    """

    left: float
    right: float


def thickness_px(muscle: Bool[np.ndarray, "h w"], outline: Outline) -> Thickness:
    """Thickness of both walls, across them, mean over the middle third of the long axis.

    The muscle's area between the levels of one and two thirds of the long axis, divided by the
    endocardium's length between them: as wide as the wall measures perpendicularly, from many
    pixels instead of from two (mid-level thickness at end-diastole: Lang et al., chamber
    quantification, J Am Soc Echocardiogr 2015, 28:1-39).

    Args:
        muscle: the myocardium, of the frame of `outline`.
        outline: of the cavity.
    """
    return Thickness(*(_side_px(muscle, outline, side) for side in (-1, 1)))


def area_px(muscle: Bool[np.ndarray, "h w"]) -> float:
    """Pixels of the myocardium; nan where there is none or the picture's edge cuts it."""
    count = np.count_nonzero(muscle)
    return float(count) if count and not is_cut(muscle) else math.nan


def _side_px(muscle: Bool[np.ndarray, "h w"], outline: Outline, side: int) -> float:
    """Of the left (-1) or the right (1) wall."""
    apex_level, base_level = (part * outline.length_px for part in _MID_LEVEL)
    pixels = np.argwhere(muscle).astype(np.float64)
    pixels = pixels[_across(pixels, outline) * side > 0]
    below = _below_apex(pixels, outline)
    # A pixel that a level runs through counts in part.
    shares = np.clip(np.minimum(below - apex_level, base_level - below) + 0.5, 0.0, 1.0)
    inside = pixels[shares > 0]
    if len(inside) == 0 or np.any((inside == 0) | (inside == np.array(muscle.shape) - 1)):
        return math.nan
    top = int(np.argmin(np.linalg.norm(outline.wall - outline.apex, axis=1)))
    wall = outline.wall[: top + 1] if side < 0 else outline.wall[top:][::-1]
    length = _length_between(wall, outline, apex_level, base_level)
    return float(shares.sum()) / length if length > 0 else math.nan


def _length_between(
    wall: Float64[np.ndarray, "n 2"], outline: Outline, apex_level: float, base_level: float
) -> float:
    """Length of a wall, from hinge to apex, between two distances below the apex."""
    below = _below_apex((wall[1:] + wall[:-1]) / 2, outline)
    steps = np.linalg.norm(np.diff(wall, axis=0), axis=1)
    reach = np.abs(np.diff(_below_apex(wall, outline))) / 2 + 1e-9
    shares = np.minimum(below - apex_level, base_level - below) / (2 * reach) + 0.5
    return float((steps * np.clip(shares, 0.0, 1.0)).sum())


def _below_apex(points: Float64[np.ndarray, "n 2"], outline: Outline) -> Float64[np.ndarray, "n"]:
    return (outline.apex - points) @ outline.upwards


def _across(points: Float64[np.ndarray, "n 2"], outline: Outline) -> Float64[np.ndarray, "n"]:
    """Distance to the right of the long axis."""
    return (points - outline.apex) @ outline.rightwards
