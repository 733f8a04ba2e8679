"""What a predicted clip is also written as; `config.predict.formats` names some.

A format of one's own is a class with `files`, named as `package.module:Name`.
"""

import contextlib
import dataclasses
import importlib
import pathlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol, runtime_checkable

import numpy as np
from jaxtyping import Bool

from echodfkd_jax import files, seams
from echodfkd_jax.errors import UserError
from echodfkd_jax.masks import LV, MASK_THRESHOLD, Structures
from echodfkd_jax.types import Frames, SoftMask

_HERE = "echodfkd_jax.interop.viewers"
FORMATS = {
    "dicom": f"{_HERE}.dicom:Dicom",
    "nifti": f"{_HERE}.nifti:Nifti",
    "coco": f"{_HERE}.coco:Coco",
    "labelme": f"{_HERE}.labelme:LabelMe",
}
# In words. Their order is that of their numbers in files that number structures: 1 to 5.
STRUCTURES = {
    LV: "Left ventricle",
    "lv_myocardium": "Left ventricular myocardium",
    "la": "Left atrium",
    "rv": "Right ventricle",
    "ra": "Right atrium",
}
# How a note about a clip that a format does not take begins.
NOT_WRITTEN = "not written as"
# What brings each package; pyproject.toml has the same.
EXTRA = "viewers"


@dataclasses.dataclass(frozen=True, eq=False)
class Outlined:
    """A clip with its outlines, as formats are given it.

    Attributes:
        name: of its files, without suffix.
        path: its own file; None: it came as an array.
        frames: as it is shown: upright, with square pixels.
        structures: of which it has masks.
        masks: gives the soft masks of a structure, in the pixels of `frames`.
        masks_in_file: the same in the pixels of the pictures of its DICOM file; None for any other.
        fps: frames per second; nan when unknown.
        spacing_mm: side of a pixel of `frames`; nan when unknown.
        file_spacing_mm: height and width of a pixel of the DICOM file; nan when unknown.
        record: the content of its JSON.
        notice: a sentence that belongs beside every number.
    """

    name: str
    path: pathlib.Path | None
    frames: Frames
    structures: Structures
    masks: Callable[[str], SoftMask]
    masks_in_file: Callable[[str], SoftMask] | None
    fps: float
    spacing_mm: float
    file_spacing_mm: tuple[float, float]
    record: Mapping[str, Any]
    notice: str

    def inside(self, structure: str) -> Bool[np.ndarray, "t h w"]:
        """Which pixels of `frames` are inside of a structure."""
        return self.masks(structure) > MASK_THRESHOLD


@runtime_checkable
class Format(Protocol):
    """Files of an outlined clip; made once, without arguments, before the first clip is read."""

    def files(self, clip: Outlined) -> Mapping[str, bytes]:
        """The files of a clip by what follows its name: ".seg.dcm", ".coco/annotations.json".

        Raises:
            UserError: this clip cannot be written so; the message says why.
        """
        ...


def open_formats(names: Sequence[str]) -> dict[str, Format]:
    """The formats that `config.predict.formats` names: of `FORMATS` or `package.module:Name`.

    Raises:
        UserError: an unknown name, or what it needs is not installed.
    """
    return {name: seams.find("config.predict.formats", name, FORMATS)() for name in names}


def offered(names: Sequence[str] = ()) -> dict[str, Format]:
    """Those of `FORMATS` whose packages are installed, and those that are named besides.

    Raises:
        UserError: as `open_formats`, about a name.
    """
    found: dict[str, Format] = {}
    for name in FORMATS:
        with contextlib.suppress(UserError):
            found |= open_formats([name])
    return found | open_formats([name for name in names if name not in found])


def write(directory: files.PathLike, clip: Outlined, formats: Mapping[str, Format]) -> list[str]:
    """Writes a clip in some formats.

    Args:
        directory: of the results.
        clip: with its outlines.
        formats: of `open_formats`.

    Returns:
        Sentences about what could not be written, and why.
    """
    notes = []
    for name, one in formats.items():
        try:
            made = one.files(clip)
        except UserError as error:
            notes.append(f"{NOT_WRITTEN} {name}: {error}")
            continue
        for suffix, content in made.items():
            files.write_bytes(files.path_of(directory) / f"{clip.name}{suffix}", content)
    return notes


def number_of(structure: str, structures: Structures) -> int:
    """A structure's number in files that number them; those of one's own come after the others."""
    known = list(STRUCTURES)
    if structure in known:
        return known.index(structure) + 1
    others = [name for name in structures if name not in known]
    return len(known) + others.index(structure) + 1


def words_of(structure: str) -> str:
    """A structure's name for people."""
    return STRUCTURES.get(structure, structure)


def require(module: str, for_what: str) -> Any:
    """A package of the extra.

    Raises:
        UserError: it is not installed.
    """
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        raise UserError(
            f"config.predict.formats: {for_what} needs {module}; "
            f"pip install 'echodfkd_jax[{EXTRA}]'"
        ) from error
