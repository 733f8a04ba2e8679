"""Ultrasound clips in DICOM files, through pydicom.

Tags of the US Region Calibration and Cine modules: DICOM PS3.3, C.8.5.5 and C.7.6.5.
"""

import io
import math
import os
import pathlib
from collections.abc import Iterator
from typing import Any, NamedTuple

import cv2
import numpy as np
from jaxtyping import Num, UInt8

from echodfkd_jax.clips.video import check_size, stack
from echodfkd_jax.errors import UserError
from echodfkd_jax.types import Frames

SUFFIXES = (".dcm", ".dicom")

# Region Spatial Format and Region Data Type (PS3.3, C.8.5.5.1.1 and C.8.5.5.1.2).
_SPATIAL_2D = 1
_SPATIAL_REFUSED = {2: "M-mode", 3: "spectral Doppler"}
_DATA_REFUSED = {2: "colour Doppler", 3: "pulsed-wave Doppler", 4: "continuous-wave Doppler"}
_UNIT_CM = 3


class DicomClip(NamedTuple):
    """A decoded file.

    Attributes:
        frames: uint8 (t, h, w), of the 2-D region only: what is written around it is left out.
        fps: frames per second; nan when the file does not say.
        spacing_mm: height and width of a pixel; nan when the file does not say.
        notes: sentences about what was done with the file.
    """

    frames: Frames
    fps: float
    spacing_mm: tuple[float, float]
    notes: tuple[str, ...]


def is_dicom(path: pathlib.Path) -> bool:
    """Whether a file says that it is DICOM, by its suffix or by "DICM" after 128 bytes."""
    if path.suffix.lower() in SUFFIXES:
        return True
    try:
        with path.open("rb") as file:
            return file.read(132)[128:] == b"DICM"
    except OSError:
        return False


def read_dicom(path: pathlib.Path) -> DicomClip:
    """Decodes a multi-frame ultrasound file to grey frames.

    Raises:
        UserError: the file is missing or damaged, is no ultrasound clip, shows Doppler, colour or
            M-mode, or is compressed in a way that no installed decoder reads.
    """
    path = pathlib.Path(path)
    try:
        import pydicom
    except ImportError as error:
        raise UserError(f"{path}: DICOM needs pydicom; pip install 'pydicom>=3,<4'") from error
    if not path.is_file():
        raise UserError(f"{path}: no such file")
    try:
        with _Bounded(io.FileIO(path)) as file:
            # A deflated data set unpacks whole, whatever its size, before a tag can be looked at.
            if _transfer_syntax(file) == pydicom.uid.DeflatedExplicitVRLittleEndian:
                raise UserError(f"{path}: is a deflated DICOM file; use another transfer syntax")
            file.seek(0)
            dataset = pydicom.dcmread(file)
        _check_kind(path, dataset)
        region, spacing, notes = _find_region(path, dataset)
        check_size(path, _count(dataset), int(dataset.Rows), int(dataset.Columns))
        frames = stack(_decode(path, dataset, region))
        return DicomClip(frames, _frame_rate(dataset), spacing, notes)
    except UserError:
        raise
    except Exception as error:  # Damage shows in as many ways as there are tags.
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0][:200]
        raise UserError(f"{path}: not readable as DICOM ({reason})") from error


class _Bounded(io.BufferedReader):
    """A file of which never more is asked than it has: memory is taken for what is asked."""

    def read(self, size: int | None = -1) -> bytes:
        left = max(0, os.fstat(self.fileno()).st_size - self.tell())
        return super().read(left if size is None or size < 0 else min(size, left))


def _transfer_syntax(file: io.BufferedReader) -> str:
    from pydicom import filereader

    filereader.read_preamble(file, False)
    meta = filereader.read_dataset(
        file, is_implicit_VR=False, is_little_endian=True, stop_when=lambda tag, *_: tag.group != 2
    )
    return str(meta.get("TransferSyntaxUID", ""))


def _check_kind(path: pathlib.Path, dataset: Any) -> None:
    modality = dataset.get("Modality", "")
    if modality not in ("US", "IVUS", ""):
        raise UserError(f"{path}: modality is {modality!r}; expected ultrasound, 'US'")
    if "PixelData" not in dataset:
        raise UserError(f"{path}: has no pictures; expected a multi-frame ultrasound clip")
    if _count(dataset) < 2:
        raise UserError(f"{path}: is a single picture; expected a clip of several frames")
    if int(dataset.get("UltrasoundColorDataPresent", 0) or 0):
        raise UserError(f"{path}: contains colour Doppler; expected a grey 2-D clip")


def _find_region(
    path: pathlib.Path, dataset: Any
) -> tuple[tuple[slice, slice], tuple[float, float], tuple[str, ...]]:
    """Rows and columns of the 2-D region, its pixel spacing (y, x) in mm, and notes."""
    whole = slice(0, int(dataset.Rows)), slice(0, int(dataset.Columns))
    regions = list(dataset.get("SequenceOfUltrasoundRegions", None) or [])
    for region in regions:
        format_, kind = _int(region, "RegionSpatialFormat"), _int(region, "RegionDataType")
        refused = _DATA_REFUSED.get(kind) or _SPATIAL_REFUSED.get(format_)
        if refused:
            raise UserError(f"{path}: contains {refused}; expected a grey 2-D clip alone")
    flat = [region for region in regions if _int(region, "RegionSpatialFormat") == _SPATIAL_2D]
    if not regions:
        spacing = dataset.get("PixelSpacing", None)
        known = (float(spacing[0]), float(spacing[1])) if spacing else (math.nan, math.nan)
        return whole, known, ("no ultrasound regions given; the whole picture is used",)
    if not flat:
        raise UserError(f"{path}: has no 2-D region; expected a grey 2-D clip")
    inside = [(region, _box(region)) for region in flat]
    inside = [(region, box) for region, box in inside if _fits(box, whole)]
    if not inside:
        # Seen in files that were scaled down afterwards: their spacing is no longer true either.
        note = "the 2-D region lies outside the picture; the whole picture is used, spacing unknown"
        return whole, (math.nan, math.nan), (note,)
    region, box = max(inside, key=lambda item: _area(item[1]))
    notes = ("several 2-D regions; the largest is used",) if len(inside) > 1 else ()
    return box, _spacing_mm(region), notes


def _box(region: Any) -> tuple[slice, slice]:
    names = ("MinY0", "MaxY1", "MinX0", "MaxX1")
    top, bottom, left, right = (_int(region, f"RegionLocation{name}") for name in names)
    return slice(top, bottom + 1), slice(left, right + 1)


def _fits(box: tuple[slice, slice], whole: tuple[slice, slice]) -> bool:
    # One pixel more is a common way to write the end.
    return all(
        0 <= b.start < min(b.stop, w.stop) and b.stop <= w.stop + 1 for b, w in zip(box, whole)
    )


def _area(box: tuple[slice, slice]) -> int:
    return (box[0].stop - box[0].start) * (box[1].stop - box[1].start)


def _spacing_mm(region: Any) -> tuple[float, float]:
    spacing = []
    for axis in ("Y", "X"):
        delta = abs(float(region.get(f"PhysicalDelta{axis}", 0) or 0))
        known = _int(region, f"PhysicalUnits{axis}Direction") == _UNIT_CM and delta > 0
        spacing.append(10 * delta if known else math.nan)
    return spacing[0], spacing[1]


def _frame_rate(dataset: Any) -> float:
    """Frames per second of the recording, from the first tag that says so."""
    if float(dataset.get("FrameTime", 0) or 0) > 0:
        return 1000 / float(dataset.FrameTime)
    vector = dataset.get("FrameTimeVector", None)
    if vector is not None and len(vector) > 1:
        mean = float(np.mean([float(value) for value in vector[1:]]))  # The first one is 0.
        if mean > 0:
            return 1000 / mean
    for tag in ("CineRate", "RecommendedDisplayFrameRate"):
        if float(dataset.get(tag, 0) or 0) > 0:
            return float(dataset[tag].value)
    return math.nan


def _decode(
    path: pathlib.Path, dataset: Any, region: tuple[slice, slice]
) -> Iterator[UInt8[np.ndarray, "h w"]]:
    """Grey values of the region, frame by frame: never the whole clip in colour."""
    from pydicom import pixels

    if _int(dataset, "PixelRepresentation") != 0:
        raise UserError(f"{path}: pixel values are signed; expected unsigned ones")
    photometric = dataset.PhotometricInterpretation
    if photometric == "PALETTE COLOR":
        raise UserError(f"{path}: colours are a palette; expected grey, RGB or YBR pictures")
    for picture in pixels.iter_pixels(dataset):  # YBR comes as RGB.
        eight_bit = _to_eight_bits(picture, int(dataset.BitsStored))
        if eight_bit.ndim == 3:
            eight_bit = cv2.cvtColor(np.ascontiguousarray(eight_bit), cv2.COLOR_RGB2GRAY)
        # MONOCHROME1: the least value is white.
        yield (255 - eight_bit if photometric == "MONOCHROME1" else eight_bit)[region]


def _to_eight_bits(picture: Num[np.ndarray, "..."], bits: int) -> UInt8[np.ndarray, "..."]:
    if bits <= 8:
        return picture.astype(np.uint8)
    return (picture >> (bits - 8)).astype(np.uint8)


def _count(dataset: Any) -> int:
    return int(dataset.get("NumberOfFrames", 1) or 1)


def _int(dataset: Any, tag: str) -> int:
    value = dataset.get(tag, 0)
    return int(value) if value is not None and value != "" else 0
