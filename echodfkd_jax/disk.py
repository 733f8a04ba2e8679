"""Files written whole or not at all, and disks that do not take them, told in one line."""

import contextlib
import errno
import fcntl
import os
import pathlib
from collections.abc import Iterator
from typing import IO

from echodfkd_jax.errors import DiskError, UserError

_PART = ".part"
# What a disk answers that takes nothing more; libraries in C++ raise the text alone.
_ERRORS = (
    *(errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EACCES, errno.EPERM),
    *(errno.EIO, errno.ENAMETOOLONG, errno.ESTALE),
)
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS)
_TEXTS = tuple(os.strerror(number) for number in (*_FULL, errno.EACCES))


def reason_of(error: BaseException) -> str:
    """What the disk said, where an error or one that led to it is a disk's; empty otherwise."""
    seen: BaseException | None = error
    while seen is not None:
        if isinstance(seen, OSError) and seen.errno in _ERRORS:
            return seen.strerror or os.strerror(seen.errno)
        for text in _TEXTS:
            if text.lower() in str(seen).lower():
                return text
        seen = seen.__cause__ or seen.__context__
    return ""


def file_of(error: BaseException) -> str:
    """The file that an error names; empty where it names none."""
    seen: BaseException | None = error
    while seen is not None:
        name = getattr(seen, "filename", None)
        if name:
            return os.fsdecode(name)
        seen = seen.__cause__ or seen.__context__
    return ""


@contextlib.contextmanager
def writing(path: str | os.PathLike[str]) -> Iterator[None]:
    """Turns what a disk says into one line.

    Args:
        path: of the file or folder that is written; the error's own file is named where it has one.

    Raises:
        DiskError: the disk is full, read-only, or otherwise does not take it.
    """
    try:
        yield
    except UserError:
        raise
    except Exception as error:
        reason = reason_of(error)
        if not reason and isinstance(error, OSError):
            reason = error.strerror or str(error)
        if not reason:
            raise
        where = file_of(error) or os.fspath(path)
        raise DiskError(refusal(where, reason)) from error


def refusal(where: str, reason: str) -> str:
    """The line that says that something could not be written."""
    return (
        f"cannot write to {where}: {reason}; make room there or name another folder, earlier "
        "files are untouched"
    )


def told(error: BaseException, where: str) -> str:
    """One line about what a disk said, wherever it was met; empty where an error is no disk's.

    Args:
        error: that was raised.
        where: named where the error names no file.
    """
    reason, where = reason_of(error), file_of(error) or where
    if not reason:
        return ""
    full = any(reason == os.strerror(number) for number in _FULL)
    return refusal(where, reason) if full else f"{where}: {reason}"


@contextlib.contextmanager
def replacing(path: str | os.PathLike[str]) -> Iterator[IO[bytes]]:
    """Opens a file that takes the place of `path` when all of it is on disk; its folder is made.

    Raises:
        DiskError: the disk does not take it; what was there is kept.
    """
    path = pathlib.Path(path)
    part = path.with_name(path.name + _PART)
    with writing(path):
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with part.open("wb") as file:
                yield file
                file.flush()
                os.fsync(file.fileno())
            part.replace(path)
        except BaseException:
            with contextlib.suppress(OSError):
                part.unlink(missing_ok=True)
            raise


def write_bytes(path: str | os.PathLike[str], content: bytes) -> pathlib.Path:
    """Writes a file, whole or not at all, and returns its path.

    Raises:
        DiskError: the disk does not take it.
    """
    with replacing(path) as file:
        file.write(content)
    return pathlib.Path(path)


def write_text(path: str | os.PathLike[str], text: str) -> pathlib.Path:
    """The same for text, in UTF-8; what has no UTF-8, as in names of files, is escaped."""
    return write_bytes(path, text.encode("utf-8", "backslashreplace"))


def make_folder(path: str | os.PathLike[str]) -> pathlib.Path:
    """Makes a folder unless it is there, and returns it.

    Raises:
        DiskError: it cannot be made.
    """
    path = pathlib.Path(path)
    with writing(path):
        path.mkdir(parents=True, exist_ok=True)
    return path


@contextlib.contextmanager
def locked(path: str | os.PathLike[str], refusal_text: str) -> Iterator[None]:
    """Holds a lock that the next process with the same file does not get.

    It ends with the process, however that ends. Where the file cannot be made, or on a file system
    without locks, nothing is held; what is written next says why.

    Args:
        path: the lock's file; made, and left there.
        refusal_text: what is said where another process holds it.

    Raises:
        UserError: another process holds it.
    """
    path = pathlib.Path(path)
    with contextlib.ExitStack() as stack:
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            file = stack.enter_context(path.open("a"))
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise UserError(refusal_text) from error
        except OSError:
            pass
        yield
