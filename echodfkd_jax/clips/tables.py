"""The CSV tables of the EchoNet layouts: FileList and VolumeTracings.

Dynamic and Synthetic name their splits and give tracings as chords; Pediatric numbers them (ten
folds) and gives outlines, or says "No Systolic" where there is none.

Read forgivingly where nothing can be misunderstood (byte order mark, CRLF, case of headers and
splits, `.avi` or not, blank lines) and strictly everywhere else: a wrong row is an error that names
the file and the line. The columns FrameHeight, FrameWidth and NumberOfFrames are not read: in
EchoNet-Synthetic they are wrong, and the video knows better.
"""

import csv
import dataclasses
import math
import pathlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from jaxtyping import Float

from echodfkd_jax.clips.video import SUFFIXES
from echodfkd_jax.errors import UserError

_MAX_NAME = 200
_MAX_POSITION_PX = 1e5
SPLITS = ("TRAIN", "VAL", "TEST")
# Numbered splits: three are the three; of ten folds the last two are held back, as is usual.
_NUM_FOLDS = 10
_FOLDS = {8: "VAL", 9: "TEST"}
_NO_TRACING = ("no systolic", "no diastolic")


@dataclasses.dataclass(frozen=True)
class ListedClip:
    """A row of FileList.csv.

    Attributes:
        name: without extension.
        split: one of `SPLITS`.
        fps: frames per second; nan when not given.
        ef_percent: recorded ejection fraction; nan when not given.
        edv_ml: end-diastolic volume; nan when not given or 0.
        esv_ml: end-systolic volume; nan when not given or 0.
        ef_was_fraction: the table has fractions of 1.
    """

    name: str
    split: str
    fps: float
    ef_percent: float
    edv_ml: float
    esv_ml: float
    ef_was_fraction: bool = False


# Rows of one clip's tracings: frame index -> all rows in file order, chords (x1, y1, x2, y2) or
# points of an outline (x, y).
TracedFrames = dict[int, Float[np.ndarray, "_ columns"]]


def read_file_list(path: pathlib.Path) -> list[ListedClip]:
    """Reads FileList.csv; the columns FileName and Split are needed, the others may be absent.

    Volumes of 0 (EchoNet-Synthetic) mean unknown. Ejection fractions that are all at most 1 are
    fractions. Splits are TRAIN, VAL and TEST, or numbers: 0, 1 and 2 are these three, of ten folds
    (EchoNet-Pediatric) 8 is VAL, 9 is TEST and the others are TRAIN.

    Raises:
        UserError: a wrong or repeated row, a missing column, or no row at all.
    """
    table = list(_Table(path, ("FileName", "Split")))
    splits = _splits(table)
    percents = [row.number("EF", "a percentage, 0 to 100", _is_percentage) for row in table]
    fractions = [0 < ef <= 1 for ef in percents]
    all_fractions = any(fractions) and all(ef <= 1 for ef in percents if not math.isnan(ef))
    clips: dict[str, ListedClip] = {}
    for row, split, ef, fraction in zip(table, splits, percents, fractions):
        name = row.clip_name()
        if name in clips:
            raise row.error("FileName", "a name that is not in the list yet")
        if fraction and not all_fractions:
            raise row.error("EF", "a percentage as in the other rows, or fractions in all of them")
        clips[name] = ListedClip(
            name=name,
            split=split,
            fps=row.number("FPS", "a positive number", lambda fps: fps > 0),
            ef_percent=100 * ef if all_fractions else ef,
            edv_ml=row.number("EDV", "a volume in ml", lambda ml: ml >= 0) or math.nan,
            esv_ml=row.number("ESV", "a volume in ml", lambda ml: ml >= 0) or math.nan,
            ef_was_fraction=all_fractions and not math.isnan(ef),
        )
    if not clips:
        raise UserError(f"{path}: lists no clip; expected one row per clip")
    return list(clips.values())


def read_volume_tracings(path: pathlib.Path) -> dict[str, TracedFrames]:
    """Reads VolumeTracings.csv: clip name -> frame -> rows, frames in the order of the file.

    Raises:
        UserError: a wrong row or a missing column.
    """
    table = _Table(path, ("FileName", "Frame"))
    chords, points = ("X1", "Y1", "X2", "Y2"), ("X", "Y")
    rows: dict[str, dict[int, list[list[float]]]] = {}
    for row in table:
        columns = points if row.has(points) else chords
        if not row.has(columns):
            raise UserError(
                f"{path.name}, line 1: expected the columns FileName, {', '.join(chords)}, Frame, "
                f"or FileName, {', '.join(points)}, Frame ({path})"
            )
        frames = rows.setdefault(row.clip_name(), {})
        if row.text("Frame").lower() in _NO_TRACING:
            continue
        positions = [
            row.number(column, "a pixel position", _is_position, required=True)
            for column in columns
        ]
        frames.setdefault(row.index("Frame"), []).append(positions)
    return {
        name: {frame: np.array(traced) for frame, traced in frames.items()}
        for name, frames in rows.items()
    }


def write_volume_tracings(path: pathlib.Path, traced: Mapping[str, TracedFrames]) -> None:
    """Writes VolumeTracings.csv as EchoNet-Dynamic has it, in thousandths of a pixel.

    Args:
        path: the file to write.
        traced: clip name -> frame -> chords (x1, y1, x2, y2), as `read_volume_tracings` gives them.
    """
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(("FileName", "X1", "Y1", "X2", "Y2", "Frame"))
        for name, frames in traced.items():
            for frame, rows in frames.items():
                for row in rows:
                    writer.writerow((f"{name}.avi", *(f"{value:.3f}" for value in row), frame))


def stem(name: str) -> str:
    """A clip's name as the tables mean it: without folder and video extension."""
    name = name.strip().replace("\\", "/").rsplit("/", 1)[-1]
    start, point, suffix = name.rpartition(".")
    return start if point and f".{suffix.lower()}" in SUFFIXES else name


def _splits(table: Sequence["_Row"]) -> list[str]:
    """Each row's split by its name."""
    numbers = [row.fold() for row in table]
    if 2 * sum(number is not None for number in numbers) <= len(numbers):
        found = [row.text("Split").upper() for row in table]
        for row, split in zip(table, found):
            if split not in SPLITS:
                raise row.error("Split", "TRAIN, VAL or TEST")
        return found
    three = all(number in (0, 1, 2) for number in numbers)
    found = []
    for row, number in zip(table, numbers):
        if number is None or number >= _NUM_FOLDS:
            raise row.error("Split", f"a number, 0 to {_NUM_FOLDS - 1}, as in the other rows")
        found.append(SPLITS[number] if three else _FOLDS.get(number, "TRAIN"))
    return found


def _is_percentage(ef: float) -> bool:
    return 0 <= ef <= 100


def _first_foreign_byte(content: bytes) -> int:
    try:
        content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        return error.start
    return len(content)


def _is_position(value: float) -> bool:
    return abs(value) <= _MAX_POSITION_PX


@dataclasses.dataclass(frozen=True)
class _Row:
    """One row, with what an error message needs."""

    path: pathlib.Path
    line: int
    columns: dict[str, int]
    values: Sequence[str]

    def text(self, column: str) -> str:
        value = self._value(column)
        if not value:
            raise self.error(column, "a value")
        return value

    def clip_name(self, column: str = "FileName") -> str:
        """The stem of a file's name; it becomes part of paths, so that not every text will do."""
        name = stem(self.text(column))
        if name in ("", ".", "..") or not name.isprintable() or len(name.encode()) > _MAX_NAME:
            raise self.error(column, f"a file's name, at most {_MAX_NAME} bytes")
        return name

    def number(
        self,
        column: str,
        expected: str,
        accepts: Callable[[float], bool] = lambda value: True,
        *,
        required: bool = False,
    ) -> float:
        """A finite number; nan when the column or the value is absent and not required."""
        value = self._value(column)
        if value.lower() in ("", "nan") and not required:
            return math.nan
        try:
            number = float(value)
        except ValueError:
            number = math.nan
        if not math.isfinite(number) or not accepts(number):
            raise self.error(column, expected)
        return number

    def index(self, column: str) -> int:
        expected = "a frame index from 0"
        number = self.number(
            column, expected, lambda value: value >= 0 and value == int(value), required=True
        )
        return int(number)

    def has(self, columns: Sequence[str]) -> bool:
        return all(column.lower() in self.columns for column in columns)

    def fold(self) -> int | None:
        """The split where it is a number from 0, also as "1.0"."""
        value = self.text("Split").removesuffix(".0")
        return int(value) if value.isascii() and value.isdigit() and len(value) < 4 else None

    def error(self, column: str, expected: str) -> UserError:
        value = self._value(column)
        return UserError(
            f"{self.path.name}, line {self.line}: {column} is {value[:100]!r}; expected {expected} "
            f"({self.path})"
        )

    def _value(self, column: str) -> str:
        position = self.columns.get(column.lower())
        return "" if position is None else self.values[position].strip()


class _Table:
    """Iterates over the rows of a CSV file with a header."""

    def __init__(self, path: pathlib.Path, required: Sequence[str]):
        self._path = path
        self._required = required

    def __iter__(self) -> Iterator[_Row]:
        reader = None
        try:
            # utf-8-sig takes a byte order mark away when there is one.
            with self._path.open(encoding="utf-8-sig", newline="") as file:
                reader = csv.reader(file)
                yield from self._rows(reader)
        except FileNotFoundError as error:
            raise UserError(f"{self._path}: no such file") from error
        except UnicodeDecodeError as error:
            # The file is decoded in pieces, ahead of the rows.
            content = self._path.read_bytes()
            line = 1 + content.count(b"\n", 0, _first_foreign_byte(content))
            raise self._unreadable(line, "not UTF-8") from error
        except csv.Error as error:
            raise self._unreadable(reader.line_num + 1 if reader else 1, str(error)) from error
        except OSError as error:
            raise UserError(f"{self._path}: not readable ({error.strerror})") from error

    def _unreadable(self, line: int, reason: str) -> UserError:
        return UserError(
            f"{self._path.name}, line {line}: not readable as CSV in UTF-8 ({reason}) "
            f"({self._path})"
        )

    def _rows(self, reader: Any) -> Iterator[_Row]:
        header = [name.strip().lower() for name in next(reader, [])]
        columns = {name: position for position, name in enumerate(header)}
        missing = [name for name in self._required if name.lower() not in columns]
        if missing:
            raise UserError(
                f"{self._path.name}, line 1: column {missing[0]} is missing; expected at least "
                f"{', '.join(self._required)} ({self._path})"
            )
        for values in reader:
            if not any(value.strip() for value in values):
                continue
            if len(values) != len(header):
                raise UserError(
                    f"{self._path.name}, line {reader.line_num}: {len(values)} values; expected "
                    f"{len(header)}, one per column ({self._path})"
                )
            yield _Row(self._path, reader.line_num, columns, values)
