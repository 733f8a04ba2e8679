"""Folders of clips in the layout of the EchoNet data sets, or without any table.

    FileList.csv         one row per clip; without it every video of the folder is a clip
    VolumeTracings.csv   human tracings (optional)
    Videos/<name>.avi    the clips (or in the folder itself)
    TeacherMasks/        <name>.seg.npz or .npy, a teacher's soft mask of every frame (optional)

What is wrong with a clip is settled by the rules in `layout_report`, when the folder is opened:
every video is decoded once, so that afterwards each clip of the sequence can be read.
"""

import concurrent.futures
import dataclasses
import itertools
import math
import os
import pathlib
from collections.abc import Iterator, Sequence

import tqdm

from echodfkd_jax.clips import entries, finding, tables, video
from echodfkd_jax.clips.layout_report import LayoutReport
from echodfkd_jax.errors import UserError
from echodfkd_jax.types import Clip

# What the project calls a split -> what FileList.csv calls it.
SPLIT_NAMES = {"train": "TRAIN", "validation": "VAL", "test": "TEST"}
MASK_FOLDER = "TeacherMasks"
APICAL_FOLDER = "A4C"
TABLES = ("FileList.csv", "VolumeTracings.csv", "size.csv")

_UNLISTED = tables.ListedClip("", "", math.nan, math.nan, math.nan, math.nan)


class FolderClips(Sequence[Clip]):
    """The usable clips of a folder, each read when it is asked for; picklable.

    Attributes:
        folder: where they are.
        entries: what is known of every clip before it is read.
        report: what was left out or changed, and by which rule.
    """

    def __init__(
        self, folder: pathlib.Path, clips: Sequence[entries.Entry], report: LayoutReport
    ) -> None:
        self.folder = folder
        self.entries = tuple(clips)
        self.report = report

    def __len__(self) -> int:
        return len(self.entries)

    def __getitem__(self, index: int) -> Clip:
        """Reads a clip.

        Raises:
            IndexError: there is no clip with this index.
            UserError: a file changed since the folder was opened and cannot be read any more.
        """
        return entries.read(self.entries[index])

    def __iter__(self) -> Iterator[Clip]:
        return map(entries.read, self.entries)


def open_folder(
    path: str | os.PathLike[str],
    split: str | None = None,
    *,
    min_frames: int = 1,
    mask_folder: pathlib.Path | None = None,
    show_progress: bool = False,
) -> FolderClips:
    """Opens a folder of clips and checks each of them.

    Args:
        path: the folder, or one that holds exactly one such folder (an unpacked download).
        split: "train", "validation" or "test" to get the clips of that split only; None for all.
        min_frames: shorter clips are left out.
        mask_folder: where teacher masks are; None: `TeacherMasks` in the folder.
        show_progress: draw a progress bar on stderr.

    Returns:
        The usable clips in the order of FileList.csv, or by name where there is none.

    Raises:
        UserError: there is no such folder, no clip in it, a table has a wrong row, or a split is
            asked for and FileList.csv is not there.
    """
    folder = find_folder(pathlib.Path(path))
    report = LayoutReport(folder=str(folder))
    videos = find_videos(folder, report.passed_over)
    rows = _listed(folder, videos, split, report)
    tracings_table = folder / "VolumeTracings.csv"
    tracings = tables.read_volume_tracings(tracings_table) if tracings_table.is_file() else {}
    present = [row for row in rows if row.name in videos]
    for row in rows:
        if row.name not in videos:
            report.note("missing", row.name)
    if split is None:
        for name in sorted(tracings.keys() - {row.name for row in rows}):
            report.note("traced_but_unlisted", name)

    def check(row: tables.ListedClip) -> tuple[entries.Entry | None, list[entries.Note]]:
        return entries.check(
            row,
            videos[row.name],
            tracings.get(row.name, {}),
            mask_folder or folder / MASK_FOLDER,
            min_frames=min_frames,
        )

    usable = []
    # FFmpeg decodes outside the interpreter lock, so threads do it side by side.
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        checks = zip(present, pool.map(check, present))
        bar = tqdm.tqdm(
            checks, "checking clips", len(present), unit="clip", disable=not show_progress
        )
        for row, (entry, notes) in bar:
            if row.ef_was_fraction:
                report.note("ef_fraction", row.name)
            for note in notes:
                report.note(note.rule, row.name, note.reason)
            if entry is not None:
                usable.append(entry)
    report.num_listed, report.num_used = len(rows), len(usable)
    return FolderClips(folder, usable, report)


def find_folder(path: pathlib.Path) -> pathlib.Path:
    """The folder with FileList.csv: `path`, or the only one up to two levels below it, or `A4C`.

    Returns:
        `path` itself when there is no FileList.csv at all.

    Raises:
        UserError: `path` is no folder, or there are several with a FileList.csv below it.
    """
    if not path.is_dir():
        raise UserError(f"{path}: no such folder; expected one with FileList.csv and Videos/")
    if (path / "FileList.csv").is_file():
        return path
    deeper = itertools.chain(path.glob("*/FileList.csv"), path.glob("*/*/FileList.csv"))
    below = sorted(file.parent for file in deeper)
    # EchoNet-Pediatric has the view that is meant here in a folder beside another view's.
    apical = [folder for folder in below if folder.name.upper() == APICAL_FOLDER]
    if len(apical) == 1:
        return apical[0]
    if len(below) > 1:
        names = ", ".join(str(folder) for folder in below)
        raise UserError(f"{path}: holds {len(below)} folders with FileList.csv; name one: {names}")
    return below[0] if below else path


def find_videos(
    folder: pathlib.Path, passed_over: dict[str, list[pathlib.Path]] | None = None
) -> dict[str, pathlib.Path]:
    """Name -> path of every video in `folder/Videos`, or in `folder` and below it.

    Args:
        folder: of the clips.
        passed_over: what else lies there is added here, by kind; tables and masks are known.

    Raises:
        UserError: two videos have the same name.
    """
    root = folder / "Videos" if (folder / "Videos").is_dir() else folder
    others = {} if passed_over is None else passed_over
    videos: dict[str, pathlib.Path] = {}
    for inside, files in finding.files_below(root, passed_over=others):
        for path in files:
            if inside.name == MASK_FOLDER or path.name in TABLES:
                continue
            kind = finding.kind_of(path)
            if kind is not None or path.suffix.lower() not in video.SUFFIXES:
                kind = kind or path.suffix.lower() or finding.BARE
                others.setdefault(kind, []).append(path)
            else:
                # Names become text in tables and data sets, whatever bytes the file system has.
                name = path.stem.encode("utf-8", "backslashreplace").decode()
                if name in videos:
                    raise UserError(f"{path}: {videos[name]} has the same name; rename one of them")
                videos[name] = path
    return videos


def _listed(
    folder: pathlib.Path,
    videos: dict[str, pathlib.Path],
    split: str | None,
    report: LayoutReport,
) -> list[tables.ListedClip]:
    """The clips that should be there; videos that nobody listed are put into the report."""
    table = folder / "FileList.csv"
    if not table.is_file():
        if split is not None:
            raise UserError(f"{table}: no such file, so nothing tells which clips are {split!r}")
        if not videos:
            kinds = ", ".join(video.SUFFIXES)
            raise UserError(f"{folder}: holds neither FileList.csv nor a video ({kinds})")
        return [dataclasses.replace(_UNLISTED, name=name) for name in sorted(videos)]
    if split is not None and split not in SPLIT_NAMES:
        raise UserError(f"split {split!r} is unknown; expected one of {', '.join(SPLIT_NAMES)}")
    rows = tables.read_file_list(table)
    for name in sorted(videos.keys() - {row.name for row in rows}):
        report.note("unlisted", name)
    return [row for row in rows if split is None or row.split == SPLIT_NAMES[split]]
