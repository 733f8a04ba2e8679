"""NIfTI files of frames and of labels, read by nibabel (the extra `nifti`).

Arrays are stored x first, then y, then time, as ITK writes ultrasound; shown, y runs down and x to
the right. Which way an axis points in the patient is written in the header, and differently by
every program, so it is compared between files that belong together and nothing is turned by it.
"""

import gzip
import math
import pathlib
import zlib
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import UInt8

from echodfkd_jax.clips import display, video
from echodfkd_jax.errors import UserError
from echodfkd_jax.types import Frames

SUFFIXES = (".nii.gz", ".nii")
_EXTRA = "pip install 'echodfkd_jax[nifti]', or pip install 'nibabel>=5.3,<6'"
# By which part two sizes of a pixel may differ and be the same.
SAME_SIZE_WITHIN = 0.01
# How an array that is scaled comes out of a file.
_SCALED_BYTES = 8
_DAMAGES = (
    *(OSError, EOFError, ValueError, TypeError, KeyError, OverflowError, MemoryError),
    *(AttributeError, IndexError, RuntimeError, gzip.BadGzipFile, zlib.error),
)


class Nifti(NamedTuple):
    """What a file holds.

    Attributes:
        path: of the file.
        values: (t, h, w), as stored or scaled; one picture has t = 1.
        spacing_mm: height and width of a pixel.
        axes: signs of the directions in which x and y run; None where the header does not say.
    """

    path: pathlib.Path
    values: np.ndarray
    spacing_mm: tuple[float, float]
    axes: tuple[tuple[int, ...], ...] | None


def find(stem: pathlib.Path) -> pathlib.Path | None:
    """The file of this path with one of `SUFFIXES`, or None."""
    paths = (stem.with_name(stem.name + suffix) for suffix in SUFFIXES)
    return next((path for path in paths if path.is_file()), None)


def require_nibabel(path: pathlib.Path) -> Any:
    """The package that reads NIfTI.

    Args:
        path: what is to be read; for the message.

    Raises:
        UserError: it is not installed.
    """
    try:
        import nibabel
    except ModuleNotFoundError as error:
        raise UserError(f"{path}: reading NIfTI needs nibabel; {_EXTRA}") from error
    return nibabel


def read_nifti(path: pathlib.Path) -> Nifti:
    """Reads a picture (x, y) or a sequence (x, y, t); an axis of one slice between is dropped.

    Raises:
        UserError: nibabel is not installed, or the file is missing, damaged, too large, of another
            shape, or its header contradicts itself.
    """
    nibabel = require_nibabel(path)
    if not path.is_file():
        raise UserError(f"{path}: no such file")
    try:
        image: Any = nibabel.load(path)
        if not isinstance(image, nibabel.Nifti1Image):
            raise UserError(f"{path}: is {type(image).__name__}; expected NIfTI")
        shape = _shape(path, image)
        spacing = _spacing(path, image)
        axes = _axes(image)
        values = np.asanyarray(image.dataobj).reshape(shape)
    except (*_DAMAGES, nibabel.filebasedimages.ImageFileError) as error:
        reason = str(error) or type(error).__name__
        raise UserError(f"{path}: not readable as NIfTI ({reason[:200]}); copy it again") from error
    except nibabel.spatialimages.HeaderDataError as error:
        raise UserError(f"{path}: its NIfTI header is damaged ({error})") from error
    return Nifti(path, values.transpose(2, 1, 0), spacing, axes)


def frames(found: Nifti) -> Frames:
    """The values as grey frames, uint8 (t, h, w).

    Raises:
        UserError: they are no grey values 0..255.
    """
    values = found.values
    low, high = values.min(), values.max()
    if not (low >= 0 and high <= 255):  # Written so that nan is refused too.
        raise UserError(f"{found.path}: grey values are {low} to {high}; expected 0 to 255")
    if values.dtype.kind == "f":
        values = np.rint(values)
    return np.ascontiguousarray(values, np.uint8)


def labels(found: Nifti, most: int) -> UInt8[np.ndarray, "t h w"]:
    """The values as labels, uint8 (t, h, w).

    Args:
        found: of a file.
        most: the largest label there is.

    Raises:
        UserError: they are no whole numbers from 0 to `most`.
    """
    values = found.values
    low, high = values.min(), values.max()
    whole = values.dtype.kind != "f" or bool((values == np.rint(values)).all())
    if not (low >= 0 and high <= most and whole):
        kind = "" if whole else ", some of them no whole numbers"
        raise UserError(f"{found.path}: labels are {low} to {high}{kind}; expected 0 to {most}")
    return np.ascontiguousarray(values, np.uint8)


def _shape(path: pathlib.Path, image: Any) -> tuple[int, int, int]:
    """x, y and t, before any pixel is read."""
    shape = tuple(map(int, image.shape))
    if len(shape) == 4 and shape[2] == 1:
        shape = (*shape[:2], shape[3])
    shape = (*shape, 1) if len(shape) == 2 else shape
    dtype = image.get_data_dtype()
    if len(shape) != 3 or min(shape) < 1 or dtype.kind not in "iuf":
        raise UserError(
            f"{path}: holds {dtype}{list(image.shape)}; expected numbers (x, y) or (x, y, t)"
        )
    width, height, count = shape
    video.check_size(path, count, height, width)
    scaled = (image.dataobj.slope, image.dataobj.inter) != (1, 0)
    size = math.prod(shape) * (_SCALED_BYTES if scaled else dtype.itemsize)
    if size > video.MAX_CLIP_BYTES:
        raise UserError(
            f"{path}: {dtype}{list(shape)} is more than {video.MAX_CLIP_BYTES >> 20} MiB of "
            "numbers; write it as uint8"
        )
    return shape


def _spacing(path: pathlib.Path, image: Any) -> tuple[float, float]:
    """Height and width of a pixel in mm, as both places in the header have them."""
    with image.file_map["image"].get_prepare_fileobj("rb") as file:
        # As it is written: the header of `image` has had 0 replaced by 1.
        written = type(image.header).from_fileobj(file, check=False)["pixdim"][1:3]
    width, height = map(abs, map(float, written))
    known = all(map(math.isfinite, (width, height))) and min(width, height) > 0
    if not known or max(width, height) > display.MAX_ASPECT * min(width, height):
        raise UserError(
            f"{path}: pixels of {width:g} x {height:g} mm cannot be; expected sizes above 0 whose "
            f"ratio is at most {display.MAX_ASPECT:g} (pixdim of the header)"
        )
    if image.header["sform_code"] > 0 or image.header["qform_code"] > 0:
        affine = np.linalg.norm(image.affine[:3, :2], axis=0)
        if not np.allclose(affine, (width, height), rtol=SAME_SIZE_WITHIN):
            raise UserError(
                f"{path}: the header contradicts itself: pixels are {width:g} x {height:g} mm by "
                f"pixdim and {affine[0]:g} x {affine[1]:g} mm by its axes; set them alike"
            )
    return height, width


def _axes(image: Any) -> tuple[tuple[int, ...], ...] | None:
    if not (image.header["sform_code"] > 0 or image.header["qform_code"] > 0):
        return None
    directions = image.affine[:3, :2]
    length = np.linalg.norm(directions, axis=0)
    return tuple(tuple(map(int, axis)) for axis in np.rint(directions / length).T)
