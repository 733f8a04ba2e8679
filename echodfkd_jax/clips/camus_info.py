"""The text files of CAMUS: `Info_4CH.cfg` of a patient and the lists of `database_split/`."""

import math
import pathlib
import re
from collections.abc import Callable
from typing import NamedTuple

from echodfkd_jax.errors import UserError

# What the project calls a split -> its list.
SPLIT_FILES = {
    "train": "subgroup_training.txt",
    "validation": "subgroup_validation.txt",
    "test": "subgroup_testing.txt",
}
PATIENT = re.compile(r"patient\d+")
_MAX_FPS = 1000.0
_MAX_BYTES = 2**20


class Info(NamedTuple):
    """What is known of a view.

    Attributes:
        ed_frame: of the half sequence, from 0.
        es_frame: likewise.
        num_frames: of the half sequence.
        fps: frames per second; nan when not given.
        ef_percent: ejection fraction; nan when not given.
    """

    ed_frame: int
    es_frame: int
    num_frames: int
    fps: float
    ef_percent: float


def read_info(path: pathlib.Path) -> Info:
    """Reads `Info_<view>.cfg`, lines of `key: value`: ED, ES, NbFrame, FrameRate and EF.

    Raises:
        UserError: the file is missing or no text, a line has no colon, a key stands there twice,
            or a value is missing or cannot be.
    """
    fields: dict[str, tuple[int, str]] = {}
    for number, line in enumerate(_lines(path), 1):
        key, colon, value = line.partition(":")
        key = key.strip().lower()
        if not colon or not key:
            raise _error(path, number, f"{line[:100]!r} is no 'key: value'")
        if key in fields:
            raise _error(path, number, f"{key!r} stands there twice")
        fields[key] = number, value.strip()

    def read(
        key: str, expected: str, accepts: Callable[[float], bool], *, required: bool = False
    ) -> float:
        line, value = fields.get(key.lower(), (0, ""))
        if not value and not required:
            return math.nan
        try:
            number = float(value)
        except ValueError:
            number = math.nan
        if not accepts(number):
            raise _error(path, line, f"{key} is {value[:100]!r}; expected {expected}")
        return number

    def frame(key: str, most: int) -> int:
        # 20 is meant where "20.0" stands.
        what = f"a whole number from 1 to {most}"
        return int(read(key, what, lambda n: 1 <= n <= most and n == int(n), required=True))

    num_frames = frame("NbFrame", 100_000)
    ed, es = frame("ED", num_frames), frame("ES", num_frames)
    if ed == es:
        raise _error(path, fields["es"][0], f"ES is {es}, the frame of ED; expected another")
    return Info(
        ed - 1,
        es - 1,
        num_frames,
        read("FrameRate", f"frames a second, up to {_MAX_FPS:g}", lambda fps: 0 < fps <= _MAX_FPS),
        read("EF", "a percentage, 0 to 100", lambda ef: 0 <= ef <= 100),
    )


def read_splits(folder: pathlib.Path) -> dict[str, str]:
    """Reads the lists of `database_split/`.

    Returns:
        Patient -> split, in the order of the lists.

    Raises:
        UserError: a list is missing, names no patient or one twice, or has a line that is no
            patient's name.
    """
    splits: dict[str, str] = {}
    for split, name in SPLIT_FILES.items():
        path = folder / name
        before = len(splits)
        for number, line in enumerate(_lines(path), 1):
            patient = line.strip()
            if not patient:
                continue
            if not PATIENT.fullmatch(patient):
                raise _error(path, number, f"{patient[:100]!r}; expected a name like patient0001")
            if patient in splits:
                other = SPLIT_FILES[splits[patient]]
                raise _error(path, number, f"{patient} is named before, in {other}; take one out")
            splits[patient] = split
        if len(splits) == before:
            raise UserError(f"{path}: names no patient; expected one a line")
    return splits


def _lines(path: pathlib.Path) -> list[str]:
    """The lines of a small text; blank ones at its end are left out."""
    try:
        with path.open("rb") as file:
            content = file.read(_MAX_BYTES)
        return content.decode("utf-8-sig").rstrip().splitlines()
    except FileNotFoundError as error:
        raise UserError(f"{path}: no such file") from error
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{path}: not readable as text ({error})") from error


def _error(path: pathlib.Path, line: int, reason: str) -> UserError:
    where = f"{path.name}, line {line}" if line else path.name
    return UserError(f"{where}: {reason} ({path})")
