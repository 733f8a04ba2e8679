"""Volume of the left ventricle from one binary mask: single-plane method of disks.

The ventricle is cut across its long axis into disks of equal height, each a circular cylinder
(Lang et al., chamber quantification, J Am Soc Echocardiogr 2015, 28:1-39: 20 disks).
"""

from typing import cast

import numpy as np
import scipy.ndimage
from jaxtyping import Bool, Float64

NUM_DISKS = 20
# Each pixel counts as so many points squared: with whole pixels a disk two pixels high would get
# two or three rows by chance.
_POINTS_PER_PIXEL = 4


def volume_px3(mask: Bool[np.ndarray, "h w"], *, num_disks: int = NUM_DISKS) -> float:
    """Volume in cubic pixels.

    The long axis is the principal axis of the largest connected part of the mask; a disk's
    diameter is the area of its slice over its height.

    Returns:
        0 for an empty mask.
    """
    points = _points(largest_part(mask))
    if len(points) == 0:
        return 0.0
    centred = points - points.mean(axis=0)
    _, axes = np.linalg.eigh(centred.T @ centred)  # Eigenvalues ascend: the long axis is last.
    along = centred @ axes[:, -1]
    # A point stands for a small square; half of it lies beyond the outermost point on each side.
    half_point = 0.5 / _POINTS_PER_PIXEL
    start, end = along.min() - half_point, along.max() + half_point
    counts, _ = np.histogram(along, bins=num_disks, range=(start, end))
    height = (end - start) / num_disks
    diameters = counts / _POINTS_PER_PIXEL**2 / height
    return float(np.sum(np.pi / 4 * diameters**2 * height))


def volume_ml(volume_px3: float, pixel_spacing_mm: float) -> float:
    """Cubic pixels to millilitres; nan when the spacing is not known (nan)."""
    return volume_px3 * pixel_spacing_mm**3 / 1000


def largest_part(mask: Bool[np.ndarray, "h w"]) -> Bool[np.ndarray, "h w"]:
    """The largest connected part; of equally large ones the first.

    One stray pixel far away would otherwise become the end of the long axis.
    """
    labels, count = cast(tuple[np.ndarray, int], scipy.ndimage.label(mask))
    if count <= 1:
        return mask
    sizes = np.bincount(labels.ravel())[1:]
    return labels == 1 + int(np.argmax(sizes))


def _points(mask: Bool[np.ndarray, "h w"]) -> Float64[np.ndarray, "n 2"]:
    """A regular grid of points in every pixel of the mask, (y, x) in pixels."""
    pixels = np.argwhere(mask).astype(np.float64)
    offsets = (np.arange(_POINTS_PER_PIXEL) + 0.5) / _POINTS_PER_PIXEL
    grid = np.stack(np.meshgrid(offsets, offsets, indexing="ij"), axis=-1).reshape(-1, 2)
    return (pixels[:, None, :] + grid).reshape(-1, 2)
