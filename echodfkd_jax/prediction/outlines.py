"""Outlines as points that can be moved: from a mask to points, and from points to a mask.

A point is x, y in pixels of the student's frame; whole numbers are middles of pixels. Between the
points runs a closed Catmull-Rom curve, which is what the page draws, too.
"""

import numpy as np
from jaxtyping import Bool, Float, UInt8
from skimage import draw, measure

from echodfkd_jax.masks import MASK_THRESHOLD

Points = Float[np.ndarray, "_ 2"]
# Of an outline that is shown; every third one can be moved.
NUM_SHOWN = 48
LEAST_POINTS, MOST_POINTS = 3, 64
# Of the curve, between two points.
_STEPS = 8


def of_mask(mask: UInt8[np.ndarray, "h w"], num_points: int = NUM_SHOWN) -> Points:
    """The outline of the largest part of a soft mask, evenly spaced, from its highest point on.

    Returns:
        No points where no pixel is inside.
    """
    # A border of nothing closes outlines at the edge of the frame.
    padded = np.pad(mask.astype(np.float64), 1)
    outlines = measure.find_contours(padded, MASK_THRESHOLD + 0.5)
    if not outlines:
        return np.zeros((0, 2))
    largest = max(outlines, key=lambda outline: abs(_area(outline)))
    outline = largest[:-1, ::-1] - 1  # x before y; the last point is the first one.
    outline = np.roll(outline, -int(np.argmin(outline[:, 1])), axis=0)
    return _evenly(outline, num_points)


def curve(points: Points) -> Points:
    """The closed curve through the points, as a polygon of eight times as many."""
    before, after = np.roll(points, 1, axis=0), np.roll(points, -1, axis=0)
    beyond = np.roll(points, -2, axis=0)
    # Bezier's handles of a Catmull-Rom segment.
    first, second = points + (after - before) / 6, after - (beyond - points) / 6
    t = (np.arange(_STEPS) / _STEPS)[:, None]
    weights = ((1 - t) ** 3, 3 * t * (1 - t) ** 2, 3 * t**2 * (1 - t), t**3)
    corners = (points, first, second, after)
    parts = sum(weight * corner[:, None] for weight, corner in zip(weights, corners))
    return np.asarray(parts).reshape(-1, 2)


def fill(points: Points, size_px: int) -> Bool[np.ndarray, "{size_px} {size_px}"]:
    """Pixels whose middle is within the curve; what lies outside of the frame is cut off."""
    x, y = curve(points).T
    mask = np.zeros((size_px, size_px), bool)
    mask[draw.polygon(y, x, mask.shape)] = True
    return mask


def _evenly(outline: Points, num_points: int) -> Points:
    """So many points of a closed polygon, at equal distances along it."""
    closed = np.concatenate([outline, outline[:1]])
    steps = np.hypot(*np.diff(closed, axis=0).T)
    along = np.concatenate([[0.0], np.cumsum(steps)])
    at = np.linspace(0, along[-1], num_points, endpoint=False)
    return np.stack([np.interp(at, along, closed[:, axis]) for axis in (0, 1)], axis=1)


def _area(outline: Points) -> float:
    """Of a closed polygon; negative when it runs the other way round."""
    y, x = outline.T
    return float(np.sum(x * np.roll(y, -1) - np.roll(x, -1) * y)) / 2
