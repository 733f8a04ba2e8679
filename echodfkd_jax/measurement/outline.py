"""The left ventricle's outline finer than pixels: endocardium, hinges of the mitral valve, apex.

What is measured on it (length, strain, excursion, wall) hangs on its two corners, and a corner is
the least certain part of a mask. So none is looked for: a straight line is fitted to the base and
one to the lowest part of either wall, and a hinge is where two of them meet. Apical views show the
apex at the top (`view` doubts others); the long axis may lean by half a right angle.
"""

import math
from typing import NamedTuple, cast

import numpy as np
import scipy.ndimage
import skimage.measure
from jaxtyping import Bool, Float64, UInt8

from echodfkd_jax.masks import MASK_THRESHOLD
from echodfkd_jax.measurement import disks

# Smaller masks have no base and no walls that could be told apart.
MIN_AREA_PX = 60
# A mask is cut where it lies along the picture's edges for more than this, relative to the root of
# its area: what is beyond is not known.
MAX_CUT = 0.2
# Standard deviation of the smoothing of a mask before its contour is taken, relative to the root
# of its area: one pixel of a usual ventricle of 112 x 112 pixels.
_SMOOTHING = 0.03
# Points of the closed contour and of the wall, and the smoothing of the wall's in points.
_CONTOUR_POINTS, _WALL_POINTS, _WALL_SMOOTHING = 256, 128, 2.5
# The part in the middle of the base that a line is fitted to; the rest is rounded.
_BASE_MIDDLE = 0.7
# Heights above the base between which a wall is straight and not rounded, in heights of the apex.
_WALL_FOOT = (0.05, 0.22)
# The corners are looked for along the long axis, which is known once they are found.
_ROUNDS = 3

Point = Float64[np.ndarray, "2"]
Points = Float64[np.ndarray, "n 2"]


class Outline(NamedTuple):
    """One frame's; points are (y, x) in pixels, pixel centres at whole numbers.

    Attributes:
        wall: the endocardium without the mitral plane, from the left hinge in the picture over the
            apex to the right one, evenly spaced.
        hinges: of the mitral valve, left and right in the picture.
        apex: the wall's point farthest from the middle of the mitral ring.
    """

    wall: Points
    hinges: Float64[np.ndarray, "2 2"]
    apex: Point

    @property
    def ring(self) -> Point:
        """The middle between the hinges."""
        return self.hinges.mean(axis=0)

    @property
    def length_px(self) -> float:
        """The ventricle's: from the middle of the ring to the apex."""
        return float(np.linalg.norm(self.apex - self.ring))

    @property
    def upwards(self) -> Point:
        """The long axis, of length 1, from the ring to the apex."""
        return (self.apex - self.ring) / self.length_px

    @property
    def rightwards(self) -> Point:
        """Across the long axis, of length 1, to the right of the picture."""
        up, right = self.upwards
        return np.array([right, -up])

    @property
    def wall_length_px(self) -> float:
        """Of the endocardium."""
        return _path_length(self.wall)


def trace(mask: UInt8[np.ndarray, "h w"]) -> Outline | None:
    """The outline of one frame's ventricle.

    The contour is where the probability, a little smoothed, is one half; of an exact mask as of a
    soft one.

    Args:
        mask: 255 * probability, pixels as high as wide.

    Returns:
        None where there is no ventricle, or the picture's edge cuts it.
    """
    inside = disks.largest_part(mask > MASK_THRESHOLD)
    area = int(np.count_nonzero(inside))
    if area < MIN_AREA_PX or is_cut(inside):
        return None
    contour = _contour(mask, inside, area)
    if contour is None:
        return None
    downwards = _downwards(inside)
    for _ in range(_ROUNDS):
        found = _cornered(contour, downwards)
        if found is None:
            return None
        downwards = -found.upwards
    return found


def is_cut(inside: Bool[np.ndarray, "h w"]) -> bool:
    """Whether a structure goes on beyond the picture's edge."""
    edges = (inside[0], inside[-1], inside[:, 0], inside[:, -1])
    along = sum(np.count_nonzero(edge) for edge in edges)
    return bool(along > MAX_CUT * math.sqrt(np.count_nonzero(inside)))


def _contour(
    mask: UInt8[np.ndarray, "h w"], inside: Bool[np.ndarray, "h w"], area: int
) -> Float64[np.ndarray, "_ 2"] | None:
    """Closed, clockwise in the picture, evenly spaced; the first point is not repeated.

    None of a mask so thin that nothing of it is left when it is smoothed.
    """
    others = (mask > MASK_THRESHOLD) & ~inside
    margin = 2
    probability = np.pad(np.where(others, 0, mask) / 255.0, margin)
    smooth = scipy.ndimage.gaussian_filter(probability, _SMOOTHING * math.sqrt(area))
    parts = skimage.measure.find_contours(smooth, 0.5)
    if not parts:
        return None
    longest = max(parts, key=len) - margin
    even = _evenly(longest, _CONTOUR_POINTS + 1)[:-1]
    y, x = even.T
    clockwise = np.sum(x * np.roll(y, -1) - y * np.roll(x, -1)) > 0  # y points down.
    return even if clockwise else even[::-1]


def _downwards(inside: Bool[np.ndarray, "h w"]) -> Point:
    """The principal axis from apex to base; straight down for what is wider than high."""
    points = np.argwhere(inside).astype(np.float64)
    centred = points - points.mean(axis=0)
    _, axes = np.linalg.eigh(centred.T @ centred)  # Eigenvalues ascend: the long axis is last.
    axis = axes[:, -1] * (1.0 if axes[0, -1] >= 0 else -1.0)
    return axis if axis[0] >= math.sqrt(0.5) else np.array([1.0, 0.0])


def _cornered(contour: Float64[np.ndarray, "n 2"], downwards: Point) -> Outline | None:
    """The outline with the base at the end that is said to be down; None without a base."""
    down, across = contour @ downwards, contour @ np.array([-downwards[1], downwards[0]])
    left, right = int(np.argmax(down - across)), int(np.argmax(down + across))
    # Clockwise: from the right corner along the base to the left one, then up the left wall.
    base = _stretch(contour, right, left)
    if len(base) < 4:
        return None
    rim = round(len(base) * (1 - _BASE_MIDDLE) / 2)
    middle = base[rim : len(base) - rim]
    foot = middle.mean(axis=0)
    _, _, directions = np.linalg.svd(middle - foot, full_matrices=False)
    along = directions[0] * (1.0 if directions[0] @ (contour[right] - contour[left]) > 0 else -1.0)
    up = np.array([-along[1], along[0]])
    up = up if up @ downwards < 0 else -up
    above = _stretch(contour, left, right)
    height, place = (above - foot) @ up, (above - foot) @ along
    top = int(np.argmax(height))
    if height[top] <= 1:
        return None
    hinges = np.stack(
        [
            foot + along * _foot(height[part], place[part], float(height[top]))
            for part in (slice(0, top + 1), slice(top, None))
        ]
    )
    kept = above[height > _WALL_FOOT[0] * height[top]]
    wall = _smooth(_evenly(np.concatenate([hinges[:1], kept, hinges[1:]]), _WALL_POINTS))
    distances = np.linalg.norm(wall - hinges.mean(axis=0), axis=1)
    return Outline(wall, hinges, wall[int(np.argmax(distances))])


def _foot(
    height: Float64[np.ndarray, "n"], place: Float64[np.ndarray, "n"], apex_height: float
) -> float:
    """Where a wall meets the base: its lowest straight part, prolonged."""
    low, high = (part * apex_height for part in _WALL_FOOT)
    chosen = (height >= low) & (height <= high)
    if np.count_nonzero(chosen) < 3:
        return float(place[int(np.argmin(np.abs(height)))])
    return float(np.polyfit(height[chosen], place[chosen], 1)[1])


def _stretch(
    contour: Float64[np.ndarray, "n 2"], first: int, last: int
) -> Float64[np.ndarray, "_ 2"]:
    """The closed contour's points from one to another, both included."""
    count = (last - first) % len(contour) + 1
    return contour[(first + np.arange(count)) % len(contour)]


def _evenly(path: Float64[np.ndarray, "n 2"], count: int) -> Float64[np.ndarray, "{count} 2"]:
    """So many points on a path, at equal distances along it."""
    steps = np.linalg.norm(np.diff(path, axis=0), axis=1)
    along = np.concatenate([[0.0], np.cumsum(steps)])
    wanted = np.linspace(0.0, along[-1], count)
    return np.stack([np.interp(wanted, along, values) for values in path.T], axis=1)


def _smooth(wall: Float64[np.ndarray, "n 2"]) -> Float64[np.ndarray, "n 2"]:
    """Without the steps of pixels; the ends stay where they are."""
    reach = math.ceil(4 * _WALL_SMOOTHING)
    before = 2 * wall[0] - wall[reach:0:-1]
    after = 2 * wall[-1] - wall[-2 : -reach - 2 : -1]
    padded = np.concatenate([before, wall, after])
    smooth = scipy.ndimage.gaussian_filter1d(padded, _WALL_SMOOTHING, axis=0)
    return cast(np.ndarray, smooth)[reach:-reach]


def _path_length(path: Float64[np.ndarray, "n 2"]) -> float:
    return float(np.linalg.norm(np.diff(path, axis=0), axis=1).sum())
