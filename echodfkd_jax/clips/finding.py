"""Which files of a folder are clips, and what else lies there.

Folders are searched with all folders in them, linked ones too, each once. What is no clip is not
dropped without a word: `Found.passed_over` has it by kind.
"""

import glob
import os
import pathlib
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

from echodfkd_jax.clips import dicom, pictures, video
from echodfkd_jax.errors import UserError

MASKS = ".seg.npz"
OWN_RESULTS = "own results"
BARE = "files without a suffix"
_UNREADABLE = "folders that may not be read"
# Beside the JSON of a predicted clip.
_RESULT_SUFFIXES = (
    *(MASKS, ".json", ".mp4", ".png"),
    # Of `config.predict.formats`; the longer ones first.
    *(".seg.dcm", ".sr.dcm", ".seg.nii.gz", ".nii.gz"),
)
_RESULT_FOLDERS = (".coco", ".labelme")
_RESULT_FILES = ("predictions.csv", "stream.masks")
# How the JSON of a predicted clip begins.
_RESULT_KEYS = (b'"source"', b'"student"', b'"fingerprint"', b'"num_frames"')
_RESULT_START_BYTES = 8192
_MAX_NAME = 100
_NAMED = 3


class Found(NamedTuple):
    """What was found.

    Attributes:
        paths: the clips, sorted; a folder or the first file of a sequence of pictures is one, too.
        passed_over: kind (a suffix, or a word) -> files.
    """

    paths: list[pathlib.Path]
    passed_over: dict[str, list[pathlib.Path]]

    def summary(self) -> list[str]:
        """A line for each kind that was passed over."""
        return summary(self.passed_over)


def summary(passed_over: Mapping[str, Sequence[pathlib.Path]]) -> list[str]:
    """A line for each kind of files that are no clips."""
    lines = []
    for kind, paths in sorted(passed_over.items()):
        names = ", ".join(path.name for path in paths[:_NAMED])
        more = ", ..." if len(paths) > _NAMED else ""
        what = f"{kind} file" + "s" * (len(paths) > 1) if kind.startswith(".") else kind
        lines.append(f"passed over: {len(paths)} {what} ({names}{more})")
    return lines


def find_clips(pattern: str, field: str) -> Found:
    """The clips that a path names.

    Args:
        pattern: a file, a folder, or a glob (`**` for folders in folders). Pictures (PNG) are a
            clip where they are a sequence with nothing else beside it, or where they are named.
            Hidden files are not looked at.
        field: of the configuration, for messages.

    Raises:
        UserError: nothing is named or found.
    """
    if not pattern:
        raise UserError(
            f"{field} is empty; name a clip, a folder or a glob, for example --{field}=clips/"
        )
    path = pathlib.Path(pattern)
    found = Found([], {})
    if _is(path, pathlib.Path.is_file):
        return Found([path], {})
    if _is(path, pathlib.Path.is_dir):
        _search(path, found, set())
        if not found.paths and pictures.sequences(_pngs(path)):
            found.paths.append(path)  # It is named, whatever lies beside its pictures.
            found.passed_over.pop(".png", None)
    else:
        _match(str(path), found)
    found.paths[:] = sorted(set(found.paths))
    if not found.paths:
        kinds = ", ".join((*video.SUFFIXES, *dicom.SUFFIXES))
        passed = "".join(f"; {line}" for line in found.summary())
        raise UserError(
            f"{field}={pattern}: no clip there; expected a file, a folder or a glob of {kinds} or "
            f"a folder of numbered PNG files{passed}"
        )
    return found


def files_below(
    folder: pathlib.Path, *, passed_over: dict[str, list[pathlib.Path]] | None = None
) -> Iterator[tuple[pathlib.Path, list[pathlib.Path]]]:
    """Yields each folder in `folder`, itself first, with the files in it, sorted.

    Linked folders are gone into; one that was seen already, under any name, is not. Hidden files
    and folders are left out.

    Args:
        folder: exists.
        passed_over: folders that may not be read are added here.
    """
    yield from _below(folder, set(), {} if passed_over is None else passed_over)


def is_own_result(path: pathlib.Path) -> bool:
    """Whether a file was written by `--stage=predict` or `--stage=evaluate`."""
    if path.name in _RESULT_FILES:
        return True
    if path.parent.name == "predictions" and (path.parent.parent / "metrics.json").is_file():
        return True
    for suffix in _RESULT_SUFFIXES:
        if path.name.endswith(suffix):
            name = path.name.removesuffix(suffix)
            masks, record = path.with_name(name + MASKS), path.with_name(name + ".json")
            return masks.is_file() and record.is_file() and _is_result(record)
    return any(_is_result_folder(folder) for folder in (path.parent, path.parent.parent))


def kind_of(path: pathlib.Path) -> str | None:
    """The kind of a file that is never a clip, whatever its suffix; None where it may be one."""
    if is_own_result(path):
        return OWN_RESULTS
    return MASKS if path.name.lower().endswith(MASKS) else None


def safe_names(paths: Iterable[pathlib.Path]) -> list[str]:
    """A file name for the results of each clip: plain letters, one component, no two the same."""
    names: list[str] = []
    taken: set[str] = set()
    for path in paths:
        stem = path.name if path.is_dir() else path.stem
        plain = re.sub(r"[^A-Za-z0-9._-]+", "_", stem).lstrip("._-")[:_MAX_NAME] or "clip"
        name, number = plain, 1
        while name.lower() in taken:  # Some file systems take A and a for the same.
            number += 1
            name = f"{plain}_{number}"
        taken.add(name.lower())
        names.append(name)
    return names


def _match(pattern: str, found: Found) -> None:
    """What a glob names."""
    pngs: dict[pathlib.Path, list[pathlib.Path]] = {}
    seen: set[tuple[int, int]] = set()
    for match in sorted(glob.glob(pattern, recursive=True)):  # noqa: PTH207
        path = pathlib.Path(match)
        if path.name.startswith("."):
            continue
        if path.is_dir():
            _search(path, found, seen)
        elif path.suffix.lower() == ".png" and not is_own_result(path):
            pngs.setdefault(path.parent, []).append(path)
        elif path not in found.paths:
            _sort_in(path, found)
    for folder, named in pngs.items():
        whole = len(named) > 1 and len(named) == len(_pngs(folder))
        starts = [folder] if whole else [names[0] for names in pictures.sequences(named, least=1)]
        found.paths.extend(starts)


def _search(folder: pathlib.Path, found: Found, seen: set[tuple[int, int]]) -> None:
    for inside, files in _below(folder, seen, found.passed_over):
        pngs, others = [], 0
        for path in files:
            if path.suffix.lower() == ".png" and not is_own_result(path):
                pngs.append(path)
            else:
                others += 1
                _sort_in(path, found)
        clips = pictures.sequences(pngs)
        if len(clips) == 1 and len(clips[0]) == len(pngs) and not others:
            found.paths.append(inside)
        elif clips and not others:
            found.paths.extend(names[0] for names in clips)
            rest = set(pngs).difference(*clips)
            if rest:
                found.passed_over.setdefault(".png", []).extend(sorted(rest))
        elif pngs:
            found.passed_over.setdefault(".png", []).extend(pngs)


def _sort_in(path: pathlib.Path, found: Found) -> None:
    """Puts a file, no picture, among the clips or among what is passed over."""
    suffix, kind = path.suffix.lower(), kind_of(path)
    if kind is not None:
        found.passed_over.setdefault(kind, []).append(path)
    elif suffix in video.SUFFIXES or suffix in dicom.SUFFIXES or _is_bare_dicom(path):
        found.paths.append(path)
    else:
        found.passed_over.setdefault(suffix or BARE, []).append(path)


def _is_bare_dicom(path: pathlib.Path) -> bool:
    """Scanners write DICOM without any suffix, or with numbers after a point."""
    suffix = path.suffix.lower()
    named = suffix in ("", ".ima") or suffix[1:].isdigit()
    return named and path.is_file() and dicom.is_dicom(path)


def _below(
    folder: pathlib.Path,
    seen: set[tuple[int, int]],
    passed_over: dict[str, list[pathlib.Path]],
) -> Iterator[tuple[pathlib.Path, list[pathlib.Path]]]:
    try:
        status = folder.stat()
        if (status.st_dev, status.st_ino) in seen:
            return
        seen.add((status.st_dev, status.st_ino))
        inside = sorted(path for path in folder.iterdir() if not path.name.startswith("."))
    except OSError:
        passed_over.setdefault(_UNREADABLE, []).append(folder)
        return
    # A link that leads nowhere is a file that cannot be read; it is told when it is.
    yield folder, [path for path in inside if not path.is_dir()]
    for path in inside:
        if path.is_dir():
            yield from _below(path, seen, passed_over)


def _pngs(folder: pathlib.Path) -> list[pathlib.Path]:
    return [
        path for path in pictures.in_folder(folder) if path.is_file() and not is_own_result(path)
    ]


def _is_result_folder(folder: pathlib.Path) -> bool:
    """Whether it holds pictures and annotations of a predicted clip."""
    if folder.suffix not in _RESULT_FOLDERS:
        return False
    record = folder.with_suffix(".json")
    return record.is_file() and _is_result(record)


def _is_result(record: pathlib.Path) -> bool:
    try:
        with record.open("rb") as file:
            start = file.read(_RESULT_START_BYTES)
    except OSError:
        return False
    return all(key in start for key in _RESULT_KEYS)


def _is(path: pathlib.Path, question: Callable[[pathlib.Path], bool]) -> bool:
    try:
        return question(path)
    except OSError as error:  # Such as a name that is too long for any file.
        raise UserError(f"{os.fspath(path)[:100]}...: {error.strerror}") from error
