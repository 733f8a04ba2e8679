"""Clips that are stored as one PNG file for each frame."""

import contextlib
import pathlib
import re
import struct
from collections.abc import Iterator, Sequence

import cv2
import numpy as np
from jaxtyping import UInt8

from echodfkd_jax.clips import video
from echodfkd_jax.errors import UserError
from echodfkd_jax.types import Frames

# Fewer pictures that nobody named are no clip: there is no beat in them.
MIN_SEQUENCE = 5
_SIGNATURE = b"\x89PNG\r\n\x1a\n"


def read_pictures(path: pathlib.Path) -> Frames:
    """Reads a folder of PNG files in the order of their numbers, or the sequence that one is in.

    Raises:
        UserError: there are none, one alone, or they are damaged or of several sizes.
    """
    if path.is_dir():
        names = in_folder(path)
        longest = max(sequences(names, least=2), key=len, default=[])
        # A thumbnail beside a sequence is no part of it.
        names = longest if len(longest) > len(names) / 2 else names
    else:
        others = in_folder(path.parent)
        names = next((s for s in sequences(others, least=1) if path in s), [path])
        if len(names) < 2:
            raise UserError(f"{path}: is a single picture; expected a sequence of numbered ones")
    frames = video.stack(_frames(names))
    if not len(frames):
        raise UserError(f"{path}: has no PNG files")
    return frames


def in_folder(folder: pathlib.Path) -> list[pathlib.Path]:
    """PNG files by number: 2.png comes before 10.png."""
    found = [p for p in folder.iterdir() if p.suffix.lower() == ".png" and p.name[0] != "."]
    return sorted(found, key=_order)


def sequences(
    names: Sequence[pathlib.Path], *, least: int = MIN_SEQUENCE
) -> list[list[pathlib.Path]]:
    """Pictures of one size whose names differ in one number, in the order of that number.

    Args:
        names: of PNG files.
        least: shorter sequences are left out.
    """
    best: list[list[pathlib.Path]] = []
    for place in range(1, 1 + max((_numbers(name) for name in names), default=0)):
        groups: dict[tuple[str, ...], list[pathlib.Path]] = {}
        for name in names:
            groups.setdefault(_without(name, place), []).append(name)
        found = sorted((sorted(group, key=_order) for group in groups.values()), key=len)[::-1]
        if not best or len(found[0]) > len(best[0]):
            best = found
    if not best:
        best = [[name] for name in names]  # Names without any number.
    return sorted(group for group in best if len(group) >= least and _are_of_one_size(group))


def _order(path: pathlib.Path) -> list[tuple[int, str]]:
    pieces = re.split(r"(\d+)", path.name)
    return [(int(piece) if piece.isdecimal() else -1, piece) for piece in pieces]


def _numbers(path: pathlib.Path) -> int:
    return len(re.findall(r"\d+", path.stem))


def _without(path: pathlib.Path, place: int) -> tuple[str, ...]:
    """The name without its number at a place, counted from the end."""
    pieces = re.split(r"(\d+)", path.stem)
    if len(pieces) > 2 * place - 1:
        pieces[-2 * place] = "#"
    return (str(path.parent), *pieces)


def _are_of_one_size(names: Sequence[pathlib.Path]) -> bool:
    """By their headers; one that is damaged belongs to the others, and is told when it is read."""
    sizes = set()
    for name in names:
        with contextlib.suppress(UserError):
            sizes.add(_header(name)[16:24])
    return len(sizes) <= 1


def _header(path: pathlib.Path) -> bytes:
    try:
        with path.open("rb") as file:
            header = file.read(24)
    except OSError as error:
        raise UserError(f"{path}: not readable as PNG ({error.strerror})") from error
    if header[:8] != _SIGNATURE or len(header) < 24:
        raise UserError(f"{path}: not readable as PNG")
    return header


def _frames(names: Sequence[pathlib.Path]) -> Iterator[UInt8[np.ndarray, "h w"]]:
    shape = None
    for count, path in enumerate(names, 1):
        # Before OpenCV takes memory for what the header claims.
        width, height = struct.unpack(">II", _header(path)[16:])
        video.check_size(path, count, height, width)
        if shape not in (None, (height, width)):
            raise UserError(f"{path}: is of another size than the pictures before it")
        shape = (height, width)
        try:
            picture = cv2.imdecode(np.fromfile(path, np.uint8), cv2.IMREAD_COLOR)
        except (cv2.error, OSError) as error:
            raise UserError(f"{path}: not readable as PNG ({error})") from error
        if picture is None:
            raise UserError(f"{path}: not readable as PNG")
        yield cv2.cvtColor(picture, cv2.COLOR_BGR2GRAY)
