"""A Segmentation and a Structured Report for a clip that came as DICOM, through highdicom."""

import io
import pathlib
import warnings
from collections.abc import Mapping
from typing import Any, NamedTuple

import pydicom

from echodfkd_jax.errors import UserError
from echodfkd_jax.interop.viewers import formats
from echodfkd_jax.interop.viewers.formats import Outlined

SEGMENTATION, REPORT = ".seg.dcm", ".sr.dcm"
# Without them nothing can refer to a file.
_NEEDED = ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID", "SOPClassUID")
# What may be empty, and what highdicom copies.
_MAY_BE_EMPTY = (
    *("PatientID", "PatientName", "PatientBirthDate", "PatientSex", "AccessionNumber"),
    *("StudyID", "StudyDate", "StudyTime", "ReferringPhysicianName"),
)
_PHRASE = "Research, not for diagnosis"


class Author(NamedTuple):
    """Who made a file; keyword arguments of highdicom.

    Attributes:
        manufacturer: of it.
        manufacturer_model_name: which network.
        software_versions: of this package.
        device_serial_number: the network's fingerprint.
        series_description: shown in lists of series.
    """

    manufacturer: str
    manufacturer_model_name: str
    software_versions: str
    device_serial_number: str
    series_description: str


class Dicom:
    """See `formats.Format`."""

    def __init__(self) -> None:
        """Raises UserError where highdicom is missing."""
        formats.require("highdicom", "DICOM")

    def files(self, clip: Outlined) -> Mapping[str, bytes]:
        """A Segmentation, and where a beat was found a Structured Report that refers to it."""
        # Here: they import highdicom.
        from echodfkd_jax.interop.viewers import report, segmentation

        if clip.path is None or clip.masks_in_file is None:
            raise UserError("it is of no DICOM file")
        source = _source(clip.path)
        with warnings.catch_warnings():
            # About names and values of the source file, which are copied as they are.
            warnings.simplefilter("ignore")
            made = segmentation.of_clip(clip, source, _author(clip, "outlines"))
            files = {SEGMENTATION: _as_bytes(made)}
            if clip.record["beats"]:
                files[REPORT] = _as_bytes(
                    report.of_clip(clip, source, made, _author(clip, "measures"))
                )
        return files


def tags_of(path: pathlib.Path) -> bytes:
    """A DICOM file without its pictures, which `Dicom` takes in its place.

    Args:
        path: of a file that was read as a clip.
    """
    return _as_bytes(pydicom.dcmread(path, stop_before_pixels=True, force=True))


def _source(path: pathlib.Path) -> pydicom.Dataset:
    """The tags of the clip's file."""
    source = pydicom.dcmread(path, stop_before_pixels=True, force=True)
    missing = [tag for tag in _NEEDED if not source.get(tag)]
    if missing:
        raise UserError(f"its file has no {missing[0]}, so that nothing can refer to it")
    for tag in _MAY_BE_EMPTY:
        if source.get(tag) is None:
            setattr(source, tag, "")
    return source


def _author(clip: Outlined, what: str) -> Author:
    import echodfkd_jax

    student = clip.record["student"]
    return Author(
        manufacturer="echodfkd_jax",
        manufacturer_model_name="echodfkd_jax student",
        software_versions=echodfkd_jax.__version__,
        device_serial_number=student.get("fingerprint", "unknown")[:64],
        series_description=f"LV {what}. {_PHRASE}",
    )


def _as_bytes(dataset: Any) -> bytes:
    file = io.BytesIO()
    dataset.save_as(file)
    return file.getvalue()
