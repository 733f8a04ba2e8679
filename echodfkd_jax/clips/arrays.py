"""NPY and NPZ files from outside: their headers are checked before memory is taken."""

import io
import math
import pathlib
import threading
import tokenize
import zipfile
import zlib
from typing import Any, BinaryIO

import numpy as np

from echodfkd_jax.errors import UserError

# What a file's arrays may take together.
MAX_BYTES = 2**29
# Deflate makes nothing smaller than by this factor, so that a file that claims more lies.
_DEFLATE_RATIO = 1032
# numpy reads headers up to 10,000 bytes.
_HEADER_BYTES = 2**14
_CHUNK_BYTES = 2**20
# numpy parses headers as Python's literals, and Python 3.11 does that in one thread at a time only:
# in several it may end in "AST constructor recursion depth mismatch" (CPython issue 106905).
_PARSING = threading.Lock()
_DAMAGES = (
    *(OSError, ValueError, EOFError, TypeError, KeyError, SyntaxError, OverflowError),
    *(MemoryError, RecursionError, NotImplementedError, RuntimeError, AttributeError),
    *(zipfile.BadZipFile, zlib.error, tokenize.TokenError),
)


def read_arrays(path: pathlib.Path) -> dict[str, np.ndarray]:
    """All arrays of an NPZ file by name; that of an NPY file is called "arr_0".

    Raises:
        UserError: the file is missing or damaged, holds Python objects, or claims more bytes than
            it has or than `MAX_BYTES` (all arrays together).
    """
    if not path.is_file():
        raise UserError(f"{path}: no such file")
    try:
        if not zipfile.is_zipfile(path):
            with path.open("rb") as file:
                return {"arr_0": _read(path, file, path.stat().st_size)}
        with zipfile.ZipFile(path) as archive:
            members = [info for info in archive.infolist() if info.filename.endswith(".npy")]
            total = sum(info.file_size for info in members)
            limit = min(MAX_BYTES, _DEFLATE_RATIO * path.stat().st_size)
            if total > limit:
                raise UserError(f"{path}: claims to unpack to {total} bytes; at most {limit}")
            arrays = {}
            for info in members:
                with archive.open(info) as file:
                    arrays[info.filename[:-4]] = _read(path, file, info.file_size)
            return arrays
    except _DAMAGES as error:
        reason = str(error) or type(error).__name__
        raise UserError(f"{path}: not readable as NPY or NPZ ({reason[:200]})") from error


def _read(path: pathlib.Path, file: BinaryIO | Any, num_bytes: int) -> np.ndarray:
    """One array, whose data are all that is left of `num_bytes` after the header."""
    # The header's own length is a claim too; from memory no more is read than there is.
    start = io.BytesIO(file.read(_HEADER_BYTES))
    version = np.lib.format.read_magic(start)
    read = np.lib.format.read_array_header_1_0
    if version != (1, 0):
        read = np.lib.format.read_array_header_2_0
    with _PARSING:
        shape, fortran_order, dtype = read(start)
    if dtype.hasobject:
        raise UserError(f"{path}: holds Python objects; expected numbers")
    claimed = math.prod(shape) * dtype.itemsize
    if min(shape, default=0) < 0 or claimed > min(num_bytes, MAX_BYTES):
        raise UserError(
            f"{path}: the header claims {dtype}{list(shape)}, {claimed} bytes; the file has "
            f"{num_bytes}, and at most {MAX_BYTES} are read"
        )
    # Grows with what comes.
    content = bytearray(start.read(claimed))
    while chunk := file.read(min(_CHUNK_BYTES, claimed - len(content))):
        content += chunk
    if len(content) < claimed:
        raise UserError(f"{path}: ends after {len(content)} of {claimed} bytes; copy it again")
    flat = np.frombuffer(content, dtype)
    return flat.reshape(shape, order="F" if fortran_order else "C")
