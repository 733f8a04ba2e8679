"""What a disk or a bucket says when it does not take a file, told in one line."""

import contextlib
import errno
import os
from collections.abc import Iterator

from echodfkd_jax.errors import DiskError, UserError

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
        DiskError: the disk is full, read-only, or otherwise does not take it, or the bucket cannot
            be reached.
    """
    try:
        yield
    except UserError:
        raise
    except Exception as error:
        reason = reason_of(error)
        if not reason and isinstance(error, OSError):
            reason = error.strerror or str(error)
        if not reason and "://" in os.fspath(path):
            # Every provider's library has errors of its own.
            reason = f"{type(error).__name__}: {error}"
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
