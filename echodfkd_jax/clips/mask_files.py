"""Soft masks on disk: a file per clip and structure, `<name>.seg.npz` or `<name>.npy`.

The left ventricle's has the clip's name, another structure's `<clip>.<structure>` instead.
"""

import math
import pathlib

import numpy as np

from echodfkd_jax.clips.arrays import read_arrays
from echodfkd_jax.clips.video import check_size
from echodfkd_jax.errors import UserError
from echodfkd_jax.types import SoftMask

SUFFIXES = (".seg.npz", ".seg.npy", ".npz", ".npy")

# Pixels of a float mask that are converted at once.
_PIXELS_AT_ONCE = 2**20


def find_mask_file(folder: pathlib.Path, name: str) -> pathlib.Path | None:
    """The mask file of a clip in a folder, or None."""
    paths = (folder / f"{name}{suffix}" for suffix in SUFFIXES)
    return next((path for path in paths if path.is_file()), None)


def read_masks(path: pathlib.Path) -> SoftMask:
    """Reads the masks of one clip.

    Args:
        path: an NPZ (key "arr_0", or its only array) or NPY file; shape (t, h, w), (t, 1, h, w) or
            (t, h, w, 1); uint8 (binary 0 and 255, or 255 * probability), bool, or a float
            probability.

    Returns:
        uint8 (t, h, w), 255 * probability.

    Raises:
        UserError: the file is missing or damaged, or of another shape, type or range.
    """
    content = read_arrays(path)
    if "arr_0" not in content and len(content) != 1:
        raise UserError(f"{path}: has arrays {list(content)}; expected 'arr_0', or one array")
    masks = content["arr_0"] if "arr_0" in content else next(iter(content.values()))
    shape = masks.shape
    if masks.ndim == 4 and 1 in (shape[1], shape[3]):
        masks = masks[:, 0] if shape[1] == 1 else masks[..., 0]
    if masks.ndim != 3 or not math.prod(shape):
        raise UserError(f"{path}: masks have shape {list(shape)}; expected (t, h, w), (t, 1, h, w)")
    check_size(path, *masks.shape)
    return _to_soft_mask(path, masks)


def _to_soft_mask(path: pathlib.Path, masks: np.ndarray) -> SoftMask:
    if masks.dtype == np.bool_:
        for frame in masks.view(np.uint8):  # In place: there may be memory for one copy only.
            frame[frame > 0] = 255
        return masks.view(np.uint8)
    if masks.dtype == np.uint8:
        if masks.max() == 1:
            raise UserError(f"{path}: uint8 masks of 0 and 1; expected 0..255, or type bool")
        return masks
    if masks.dtype.kind != "f":
        raise UserError(f"{path}: masks are {masks.dtype}; expected uint8, bool or float")
    soft = np.empty(masks.shape, np.uint8)
    rows = max(1, _PIXELS_AT_ONCE // masks.shape[2])
    for frame, target in zip(masks, soft):
        for first in range(0, len(frame), rows):  # The whole would take several times as much.
            part = frame[first : first + rows]
            wide = part.astype(np.result_type(part, np.float32))  # float16 is slow.
            # Written so that nan is refused too.
            if not (wide.min() >= 0 and wide.max() <= 1):
                raise UserError(
                    f"{path}: masks are {masks.dtype}, {wide.min()} to {wide.max()}; expected "
                    "uint8, bool, or float probabilities 0..1"
                )
            wide *= 255
            target[first : first + rows] = np.rint(wide, out=wide)
    return soft
