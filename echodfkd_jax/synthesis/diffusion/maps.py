"""Maps of structures as rough pictures, from which clips are made (Free-Echo's way).

A map says of every pixel which structure it shows. As a picture each structure has one grey value;
`colouring` gives it those of a recorded frame, `injection` lets a sampler do the rest.
"""

import pathlib
from collections.abc import Mapping
from typing import NamedTuple

import cv2
import numpy as np
from jaxtyping import Bool, Float32, UInt8
from scipy import ndimage

from echodfkd_jax.errors import UserError
from echodfkd_jax.masks import LV

# Grey values of 0..1, as published; the right heart, which the published maps lack, as the left.
GREYS: Mapping[str, float] = {LV: 0.0, "lv_myocardium": 1.0, "la": 0.2, "rv": 0.0, "ra": 0.2}
_TISSUE, _OUTSIDE = 0.5, 0.0
# What the numbers of a picture of labels stand for, as in the released maps; 0 is outside.
LABELS = ("tissue", LV, "lv_myocardium", "la")
# Where only the cavity is known, the muscle is a rim around it: so many dilations by 5 x 5 pixels.
_RIM_DILATIONS, _RIM_SQUARE = 5, np.ones((5, 5), bool)


class StructureMap(NamedTuple):
    """What every pixel of a clip shows.

    Attributes:
        masks: one per structure; where two overlap, the earlier one counts.
        structures: their names; known to `GREYS`.
        sector: what the probe sees at all.
    """

    masks: Bool[np.ndarray, "t h w s"]
    structures: tuple[str, ...]
    sector: Bool[np.ndarray, "h w"]


def of_labels(labels: UInt8[np.ndarray, "h w"]) -> StructureMap:
    """The map of a picture of labels, of one frame.

    Raises:
        UserError: a label that stands for nothing, or no cavity.
    """
    unknown = np.setdiff1d(labels, np.arange(len(LABELS) + 1))
    if len(unknown):
        names = ", ".join(f"{number} {name}" for number, name in enumerate(LABELS, 1))
        raise UserError(f"label {unknown[0]} of a map: expected 0 outside, {names}")
    masks = np.stack([labels == number for number in range(2, len(LABELS) + 1)], -1)
    if not masks[..., 0].any():
        raise UserError(f"a map without the left ventricle: expected label {LABELS.index(LV) + 1}")
    return StructureMap(masks[None], LABELS[1:], labels > 0)


def read_labels(path: pathlib.Path, size_px: int) -> StructureMap:
    """The map of a PNG file of labels, see `of_labels`.

    Args:
        path: of a grey picture.
        size_px: height and width that it must have; labels cannot be resized without inventing.

    Raises:
        UserError: no such picture, one of another size, or see `of_labels`.
    """
    labels = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
    if labels is None or labels.ndim != 2 or labels.dtype != np.uint8:
        raise UserError(f"map {path} cannot be read: expected a grey picture of 8 bits, as PNG")
    height, width = labels.shape
    if (height, width) != (size_px, size_px):
        raise UserError(
            f"map {path} has {height} x {width} pixels: expected {size_px} x {size_px}; "
            "draw it anew at that size, or resize it by nearest pixels"
        )
    try:
        return of_labels(labels)
    except UserError as error:
        raise UserError(f"map {path}: {error}") from error


def with_rim(shown: StructureMap) -> StructureMap:
    """A map of the cavity alone with a myocardium around it, as published for EchoNet."""
    cavity = shown.masks[..., shown.structures.index(LV)]
    grown = [
        ndimage.binary_dilation(frame, _RIM_SQUARE, iterations=_RIM_DILATIONS) for frame in cavity
    ]
    masks = np.stack([cavity, np.stack(grown) & ~cavity & shown.sector], -1)
    return StructureMap(masks, (LV, "lv_myocardium"), shown.sector)


def picture(shown: StructureMap) -> Float32[np.ndarray, "t h w"]:
    """One grey value, 0..1, for every structure, for other tissue, and for what is not seen.

    Raises:
        UserError: a structure without a grey value.
    """
    unknown = [name for name in shown.structures if name not in GREYS]
    if unknown:
        raise UserError(f"a map of {unknown[0]!r}: expected some of {', '.join(GREYS)}")
    grey = np.full(shown.masks.shape[:-1], _TISSUE, np.float32)
    # Backwards, so that the first of two that overlap is what is seen.
    for number, name in reversed(list(enumerate(shown.structures))):
        grey[shown.masks[..., number]] = GREYS[name]
    return np.where(shown.sector, grey, np.float32(_OUTSIDE))
