"""Folders in the layout of CAMUS (Leclerc et al., IEEE TMI 2019), as they are downloaded.

    database_nifti/patient0001/     of every patient the files that `camus_patient` names
    database_split/                 subgroup_training.txt, _validation.txt, _testing.txt (optional)

Without lists a hash of the patients' names decides, a tenth each for validation and test. What is
wrong with a patient is settled by the rules in `camus_patient` when the folder is opened: all files
are read once, so that afterwards each clip of the sequence can be read.
"""

import concurrent.futures
import functools
import hashlib
import os
import pathlib
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import tqdm

from echodfkd_jax.clips import camus_info, camus_patient, finding, nifti, splitting
from echodfkd_jax.clips.camus_patient import STRUCTURES, VIEWS, Patient
from echodfkd_jax.clips.layout_report import LayoutReport
from echodfkd_jax.errors import UserError
from echodfkd_jax.types import Clip

__all__ = [
    "STRUCTURES",
    "VIEWS",
    "Camus",
    "CamusClips",
    "Layout",
    "find_layout",
    "is_layout",
    "open_folder",
]

PATIENTS, SPLITS = "database_nifti", "database_split"


class Layout(NamedTuple):
    """Where the parts of a folder are.

    Attributes:
        patients: the folder with one folder for each patient.
        splits: the folder with the lists; None where there is none.
    """

    patients: pathlib.Path
    splits: pathlib.Path | None

    def names(self) -> list[str]:
        """The patients that are there, sorted."""
        return sorted(
            path.name
            for path in self.patients.iterdir()
            if camus_info.PATIENT.fullmatch(path.name) and path.is_dir()
        )


class CamusClips(Sequence[Clip]):
    """The usable clips of a folder, each read when it is asked for; picklable.

    Attributes:
        patients: what is known of every clip before it is read.
        report: what was left out or changed, and by which rule.
    """

    def __init__(self, patients: Sequence[Patient], report: LayoutReport) -> None:
        self.patients = tuple(patients)
        self.report = report

    def __len__(self) -> int:
        return len(self.patients)

    def __getitem__(self, index: int) -> Clip:
        """Reads a clip.

        Raises:
            IndexError: there is no clip with this index.
            UserError: a file changed since the folder was opened and cannot be read any more.
        """
        return camus_patient.read(self.patients[index])

    def __iter__(self) -> Iterator[Clip]:
        return map(camus_patient.read, self.patients)

    def of_split(self, name: str) -> "CamusClips":
        """The clips of "train", "validation" or "test"."""
        return CamusClips([one for one in self.patients if one.split == name], self.report)


class Camus:
    """CAMUS as a clip source; see `datasets.sources.ClipSource`.

    Attributes:
        folder: as it was downloaded.
        view: "4CH" or "2CH".
        min_frames: shorter clips are left out.
    """

    def __init__(self, folder: pathlib.Path, *, view: str = "4CH", min_frames: int = 1) -> None:
        """Finds the patients; no file is read yet.

        Raises:
            UserError: there is none.
        """
        self.folder = folder
        self._layout = find_layout(folder)
        self.view = view
        self.min_frames = min_frames

    @property
    def identity(self) -> str:
        """12 hex digits from the view, the lists, and the files' names and sizes."""
        digest, splits = hashlib.sha256(self.view.encode()), self._layout.splits
        for name in camus_info.SPLIT_FILES.values() if splits else ():
            if splits and (splits / name).is_file():
                digest.update((splits / name).read_bytes())
        for path in sorted(self._layout.patients.glob(f"patient*/*{self.view}*")):
            digest.update(f"{path.name} {path.stat().st_size}\n".encode())
        return digest.hexdigest()[:12]

    @functools.cached_property
    def clips(self) -> CamusClips:
        """The usable clips of all splits."""
        return open_folder(
            self.folder, view=self.view, min_frames=self.min_frames, show_progress=True
        )

    @property
    def report(self) -> LayoutReport:
        """What became of every patient."""
        return self.clips.report

    def split(self, name: str) -> CamusClips:
        """The usable clips of "train", "validation" or "test"."""
        return self.clips.of_split(name)


def is_layout(path: pathlib.Path) -> bool:
    """Whether a folder is in this layout."""
    return bool(_find(path))


def find_layout(path: pathlib.Path) -> Layout:
    """The parts of a folder: of one that holds `database_nifti`, or of that itself.

    Args:
        path: the folder, or one up to two levels above it, as an archive unpacks.

    Raises:
        UserError: it is no folder, there is no patient in it, or there are several such folders.
    """
    if not path.is_dir():
        raise UserError(f"{path}: no such folder; expected one with {PATIENTS}/")
    found = _find(path)
    if not found:
        raise UserError(
            f"{path}: no patient there; expected {PATIENTS}/patient0001/ and others, as CAMUS "
            "unpacks"
        )
    if len(found) > 1:
        names = ", ".join(str(layout.patients) for layout in found[:3])
        raise UserError(f"{path}: holds {len(found)} folders with patients; name one: {names}")
    return found[0]


def _find(path: pathlib.Path) -> list[Layout]:
    """Those with patients; `path` itself, or what it holds, before what lies deeper."""
    for folders in (
        [path, path / PATIENTS],
        path.glob(f"*/{PATIENTS}"),
        path.glob(f"*/*/{PATIENTS}"),
    ):
        found = []
        for folder in sorted(folders):
            beside = (folder.parent / SPLITS, folder / SPLITS)
            splits = next((place for place in beside if place.is_dir()), None)
            if folder.is_dir() and Layout(folder, splits).names():
                found.append(Layout(folder, splits))
        if found:
            return found
    return []


def open_folder(
    path: str | os.PathLike[str],
    split: str | None = None,
    *,
    view: str = "4CH",
    min_frames: int = 1,
    show_progress: bool = False,
) -> CamusClips:
    """Opens a folder and checks every patient.

    Args:
        path: the folder, as `find_layout` takes it.
        split: "train", "validation" or "test" to get the clips of that split only; None for all.
        view: "4CH" or "2CH".
        min_frames: shorter clips are left out.
        show_progress: draw a progress bar on stderr.

    Returns:
        The usable clips by the patients' names.

    Raises:
        UserError: there is no such folder, split or view, no patient in it, nibabel is not
            installed, or a list of a split has a wrong line.
    """
    if view not in VIEWS:
        raise UserError(f"config.dataset.view={view!r}: expected {' or '.join(VIEWS)}")
    if split is not None and split not in camus_info.SPLIT_FILES:
        known = ", ".join(camus_info.SPLIT_FILES)
        raise UserError(f"split {split!r} is unknown; expected one of {known}")
    layout = find_layout(pathlib.Path(path))
    nifti.require_nibabel(layout.patients)
    report = LayoutReport(folder=str(layout.patients), rules=camus_patient.RULES)
    listed = _listed(layout, split, report)
    present = [
        Patient(name, layout.patients / name, view, listed[name])
        for name in layout.names()
        if name in listed
    ]
    usable = []
    # Unpacking and scaling are done outside the interpreter lock.
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        check = functools.partial(camus_patient.check, min_frames=min_frames)
        checks = zip(present, pool.map(check, present))
        bar = tqdm.tqdm(
            checks, "checking clips", len(present), unit="clip", disable=not show_progress
        )
        for patient, (checked, notes) in bar:
            for note in notes:
                report.note(note.rule, patient.name, note.reason)
            if checked is not None:
                usable.append(checked)
    report.num_listed, report.num_used = len(listed), len(usable)
    return CamusClips(usable, report)


def _listed(layout: Layout, split: str | None, report: LayoutReport) -> dict[str, str]:
    """Patient -> split of those that should be there; others are put into the report."""
    names = layout.names()
    for path in sorted(layout.patients.iterdir()):
        if path.name not in names and path.name != SPLITS and not path.name.startswith("."):
            kind = path.suffix.lower() or (finding.BARE if path.is_file() else "folders")
            report.passed_over.setdefault(kind, []).append(path)
    if layout.splits is None:
        splits = splitting.by_hash(names)
    else:
        splits = camus_info.read_splits(layout.splits)
    listed = {name: of for name, of in splits.items() if split in (None, of)}
    for name in listed:
        if name not in names:
            report.note("missing", name)
    for name in names:
        if name not in splits:
            report.note("unlisted", name)
    return listed
