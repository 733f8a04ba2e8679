"""Ultrasound clips in DICOM files, through pydicom.

Tags of the US Region Calibration, Cine and Multi-frame modules: DICOM PS3.3, C.8.5.5, C.7.6.5 and
C.7.6.6. Depth and colours are those of `dicom_pixels`.
"""

import io
import math
import os
import pathlib
from typing import Any, NamedTuple

from echodfkd_jax.clips import dicom_pixels, timing
from echodfkd_jax.clips.dicom_pixels import frame_count
from echodfkd_jax.clips.display import MAX_ASPECT
from echodfkd_jax.clips.video import check_size, stack
from echodfkd_jax.errors import UserError
from echodfkd_jax.types import Frames

SUFFIXES = (".dcm", ".dicom")

# Region Spatial Format and Region Data Type (PS3.3, C.8.5.5.1.1 and C.8.5.5.1.2).
_SPATIAL_2D = 1
_SPATIAL_REFUSED = {2: "M-mode", 3: "spectral Doppler"}
_DATA_COLOUR = 2
_DATA_REFUSED = {3: "pulsed-wave Doppler", 4: "continuous-wave Doppler"}
_UNIT_CM = 3
_TIME_VECTOR = 0x00181065
_MAX_REASON = 1000
_WHAT_TO_DO = "copy the file again, or export the clip again (uncompressed DICOM, AVI or MP4)"


class DicomClip(NamedTuple):
    """A decoded file.

    Attributes:
        frames: uint8 (t, h, w), of the 2-D region only: what is written around it is left out.
        fps: frames per second; nan when the file does not say.
        spacing_mm: height and width of a pixel; nan when the file does not say.
        notes: sentences about what was done with the file.
        times_s: of every frame, from the first; None when they are evenly spaced, or unknown.
        pixel_aspect: width over height of a pixel; 1 when the file does not say.
        region: rows and columns of the stored pictures that `frames` are.
        picture_px: height and width of a stored picture.
    """

    frames: Frames
    fps: float
    spacing_mm: tuple[float, float]
    notes: tuple[str, ...]
    times_s: timing.Times | None
    pixel_aspect: float
    region: dicom_pixels.Region
    picture_px: tuple[int, int]


def is_dicom(path: pathlib.Path) -> bool:
    """Whether a file says that it is DICOM: by its suffix, by "DICM" after 128 bytes, or by tags.

    Old files have no such preamble; they begin with a tag of group 8, its type and its length.
    """
    if path.suffix.lower() in SUFFIXES:
        return True
    try:
        with path.open("rb") as file:
            start = file.read(132)
    except OSError:
        return False
    if start[128:] == b"DICM":
        return True
    group, element, kind, length = start[:2], start[3:4], start[4:6], start[6:8]
    explicit = kind.isalpha() and kind.isupper()
    return group == b"\x08\x00" and element == b"\x00" and (explicit or length == b"\x00\x00")


def read_dicom(path: pathlib.Path) -> DicomClip:
    """Decodes a multi-frame ultrasound file to grey frames.

    Raises:
        UserError: the file is missing or damaged, is no ultrasound clip, shows Doppler, colour or
            M-mode, or is compressed in a way that no installed decoder reads.
    """
    path = pathlib.Path(path)
    if not path.is_file():
        raise UserError(f"{path}: no such file")
    try:
        return _read(path)
    except UserError:
        raise
    except Exception as error:  # Damage shows in as many ways as there are tags.
        reason = " ".join(str(error).split())[:_MAX_REASON] or type(error).__name__
        raise UserError(
            f"{path}: not readable as DICOM, as it is damaged or cut short; {_WHAT_TO_DO} "
            f"({reason})"
        ) from error


def _read(path: pathlib.Path) -> DicomClip:
    import pydicom.uid

    with _Bounded(io.FileIO(path)) as file:
        # A deflated data set unpacks whole, whatever its size, before a tag can be looked at.
        if _transfer_syntax(file) == pydicom.uid.DeflatedExplicitVRLittleEndian:
            raise UserError(f"{path}: is a deflated DICOM file; use another transfer syntax")
        file.seek(0)
        dataset = pydicom.dcmread(file, force=True)
    if "PixelData" not in dataset and "Rows" not in dataset:
        raise UserError(f"{path}: holds no pictures, or is no DICOM file; {_WHAT_TO_DO}")
    if not dataset.file_meta.get("TransferSyntaxUID", ""):  # Without a meta header.
        syntax = dicom_pixels.guess_transfer_syntax(dataset)
        dataset.file_meta.TransferSyntaxUID = pydicom.uid.UID(syntax)
    _check_kind(path, dataset)
    region, spacing, notes = _find_region(path, dataset)
    check_size(path, frame_count(dataset), int(dataset.Rows), int(dataset.Columns))
    dicom_pixels.check_decoder(path, dataset)
    colour = _says_colour(dataset)
    frames = stack(dicom_pixels.grey_frames(path, dataset, region, flagged_as_colour=colour))
    if colour:
        notes = (*notes, "the file says that it has colours; its pixels have none")
    when, timing_notes = _timing(dataset, len(frames))
    return DicomClip(
        frames,
        when.fps,
        spacing,
        notes + timing_notes,
        when.times_s,
        _pixel_aspect(dataset),
        region,
        (int(dataset.Rows), int(dataset.Columns)),
    )


class _Bounded(io.BufferedReader):
    """A file of which never more is asked than it has: memory is taken for what is asked."""

    def read(self, size: int | None = -1) -> bytes:
        left = max(0, os.fstat(self.fileno()).st_size - self.tell())
        return super().read(left if size is None or size < 0 else min(size, left))


def _transfer_syntax(file: io.BufferedReader) -> str:
    from pydicom import filereader

    if filereader.read_preamble(file, True) is None:
        return ""
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
    if frame_count(dataset) < 2:
        raise UserError(f"{path}: is a single picture; expected a clip of several frames")


def _says_colour(dataset: Any) -> bool:
    """Whether the file says that there is colour Doppler in it; many say so of sepia pictures."""
    regions = dataset.get("SequenceOfUltrasoundRegions", None) or []
    kinds = [_int(region, "RegionDataType") for region in regions]
    return bool(_int(dataset, "UltrasoundColorDataPresent")) or _DATA_COLOUR in kinds


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
        spacing = _numbers(dataset, "PixelSpacing")
        known = (spacing[0], spacing[1]) if len(spacing) == 2 else (math.nan, math.nan)
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


def _pixel_aspect(dataset: Any) -> float:
    """Width over height of a pixel, as far as PixelAspectRatio (height, width) says."""
    sides = _numbers(dataset, "PixelAspectRatio")
    possible = len(sides) == 2 and min(sides) > 0
    aspect = sides[1] / sides[0] if possible else 1.0
    return aspect if 1 / MAX_ASPECT <= aspect <= MAX_ASPECT else 1.0


def _timing(dataset: Any, num_frames: int) -> tuple[timing.Timing, tuple[str, ...]]:
    """When frames were taken, from the first tag that says so, and notes.

    FrameIncrementPointer names the tag that counts; without one, or where that says nothing, they
    are asked in turn.
    """
    tags = ["FrameTime", "FrameTimeVector"]
    pointer = dataset.get("FrameIncrementPointer", None)
    if pointer is not None and _TIME_VECTOR in (pointer if _is_list(pointer) else [pointer]):
        tags.reverse()
    notes = []
    for tag in tags:
        steps_ms = _numbers(dataset, tag)
        if len(steps_ms) == num_frames > 1:
            steps_ms = steps_ms[1:]  # The first frame comes after 0 ms.
        elif len(steps_ms) not in (0, 1, num_frames - 1):
            steps_ms = [sum(steps_ms) / len(steps_ms)] if len(set(steps_ms)) == 1 else steps_ms
        if not steps_ms:
            continue
        if min(steps_ms) <= 0:
            notes.append(f"{tag} has times that cannot be; it is not used")
        elif len(steps_ms) == 1:
            return timing.Timing(1000 / steps_ms[0]), tuple(notes)
        elif len(steps_ms) == num_frames - 1:
            return timing.from_steps(steps_ms), tuple(notes)
        else:
            notes.append(
                f"{tag} has {len(steps_ms)} different values for {num_frames} frames; "
                "it is not used"
            )
    for tag in ("CineRate", "RecommendedDisplayFrameRate"):
        rates = _numbers(dataset, tag)
        if rates and rates[0] > 0:
            return timing.Timing(rates[0]), tuple(notes)
    return timing.UNKNOWN, tuple(notes)


def _numbers(dataset: Any, tag: str) -> list[float]:
    """The values of a tag; none where it is missing or says no number."""
    try:
        value = dataset.get(tag, None)
        if value is None or value == "":
            return []
        found = [float(item) for item in (value if _is_list(value) else [value])]
    except (ValueError, TypeError):
        return []
    return found if all(map(math.isfinite, found)) else []


def _is_list(value: Any) -> bool:
    from pydicom.multival import MultiValue

    return isinstance(value, MultiValue | list | tuple)


def _int(dataset: Any, tag: str) -> int:
    value = dataset.get(tag, 0)
    return int(value) if value is not None and value != "" else 0
