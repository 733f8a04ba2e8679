"""Soft masks on disk: one file per clip, `<name>.seg.npz` or `<name>.npy`."""

import math
import pathlib
import zipfile
import zlib

import numpy as np

from echodfkd_jax.clips.video import MAX_CLIP_BYTES
from echodfkd_jax.errors import UserError
from echodfkd_jax.types import SoftMask

SUFFIXES = (".seg.npz", ".seg.npy", ".npz", ".npy")
_DAMAGES = (OSError, ValueError, EOFError, zipfile.BadZipFile, zlib.error)


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
    if not path.is_file():
        raise UserError(f"{path}: no such file")
    try:
        content = np.load(path, allow_pickle=False)
        if isinstance(content, np.ndarray):
            masks = content
        else:
            with content:
                name = "arr_0" if len(content.files) > 1 else content.files[0]
                masks = content[name]
    except (*_DAMAGES, KeyError, IndexError) as error:
        raise UserError(f"{path}: not readable as a mask file ({error})") from error
    shape = masks.shape
    if masks.ndim == 4 and 1 in (shape[1], shape[3]):
        masks = masks[:, 0] if shape[1] == 1 else masks[..., 0]
    if masks.ndim != 3 or not 0 < math.prod(shape) <= MAX_CLIP_BYTES:
        raise UserError(f"{path}: masks have shape {list(shape)}; expected (t, h, w), (t, 1, h, w)")
    return _to_soft_mask(path, masks)


def _to_soft_mask(path: pathlib.Path, masks: np.ndarray) -> SoftMask:
    if masks.dtype == np.bool_:
        return masks * np.uint8(255)
    if masks.dtype == np.uint8:
        if masks.max() == 1:
            raise UserError(f"{path}: uint8 masks of 0 and 1; expected 0..255, or type bool")
        return masks
    # Written so that nan is refused too.
    if masks.dtype.kind != "f" or not (masks.min() >= 0 and masks.max() <= 1):
        raise UserError(
            f"{path}: masks are {masks.dtype}, {masks.min()} to {masks.max()}; expected uint8, "
            "bool, or float probabilities 0..1"
        )
    return np.rint(255 * masks).astype(np.uint8)
