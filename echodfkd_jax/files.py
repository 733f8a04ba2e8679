"""Files: local and bucket paths, written whole or not at all, JSON without NaN, hashes, locks.

A path is local (`~` and `$NAME` are those of a shell) or, as on cloud machines, in a bucket:
`gs://bucket/folder`, `s3://bucket/folder`. `path_of` makes an `epath.Path` of either; `buckets` has
what brings whole folders from and to one.
"""

import contextlib
import fcntl
import functools
import hashlib
import json
import logging
import math
import os
import re
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from typing import IO, Any

import numpy as np
from etils import epath

from echodfkd_jax.disk import writing
from echodfkd_jax.errors import UserError

PathLike = str | os.PathLike[str]

_log = logging.getLogger(__name__)
_PART = ".part"
# More than that of a file on its way to a bucket waits on the local disk.
_SPOOLED_BYTES = 2**24
_SCHEMES = ("gs", "s3")
_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://")
# By scheme, the extra of the package that reaches such buckets.
_EXTRAS = {"gs": "gcs", "s3": "s3"}


def expanded(text: str) -> str:
    """The text of a path with `~` and `$NAME` replaced as a shell would; "" stays ""."""
    return os.path.expanduser(os.path.expandvars(text))  # noqa: PTH111, as pathlib says "." for ""


def path_of(place: PathLike) -> epath.Path:
    """A local path or one in a bucket.

    Args:
        place: a path, taken as it is, or text as somebody writes it, with `~` and `$NAME`.

    Raises:
        UserError: another scheme than `gs://` and `s3://`, a bucket that has no name, or the
            package that reaches such buckets is not installed.
    """
    text = expanded(place) if isinstance(place, str) else os.fspath(place)
    found = _SCHEME.match(text)
    if found:
        scheme = found[1]
        if scheme not in _SCHEMES or not text.removeprefix(found[0]).strip("/"):
            raise UserError(
                f"{text}: expected a local path, gs://bucket/folder or s3://bucket/folder"
            )
        _reach(scheme)
    return epath.Path(text)


def is_bucket(place: PathLike) -> bool:
    """Whether a path is one in a bucket."""
    return os.fspath(place).startswith(tuple(f"{scheme}://" for scheme in _SCHEMES))


def absolute(place: PathLike) -> epath.Path:
    """The same place from any working directory."""
    path = path_of(place)
    return path if is_bucket(path) else path.absolute()


@functools.cache
def _reach(scheme: str) -> None:
    """Checks once that this kind of bucket can be reached, and asks for listings that are fresh."""
    import fsspec.config  # Only where there is a bucket.

    try:
        kind = fsspec.get_filesystem_class(scheme)
    except ImportError as error:
        raise UserError(
            f"{scheme}:// needs a package that is not installed; "
            f"pip install 'echodfkd_jax[{_EXTRAS[scheme]}]'"
        ) from error
    protocols = (kind.protocol,) if isinstance(kind.protocol, str) else kind.protocol
    for protocol in protocols:
        # Another process writes into the folder that this one watches.
        fsspec.config.conf.setdefault(protocol, {})["use_listings_cache"] = False


@contextlib.contextmanager
def replacing(place: PathLike) -> Iterator[IO[bytes]]:
    """Opens a file that takes the place of another when all of it is written; its folder is made.

    Raises:
        DiskError: the disk or the bucket does not take it; what was there is kept.
    """
    path = path_of(place)
    if is_bucket(path):
        with _replacing_in_bucket(path) as file:
            yield file
        return
    part = path.with_name(f"{path.name}.{os.getpid()}{_PART}")  # Another process may be at it.
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


@contextlib.contextmanager
def _replacing_in_bucket(path: epath.Path) -> Iterator[IO[bytes]]:
    # An object appears when it is complete, but closing it after an error would complete it.
    with tempfile.SpooledTemporaryFile(max_size=_SPOOLED_BYTES) as file:
        yield file
        file.seek(0)
        with writing(path), path.open("wb") as target:
            shutil.copyfileobj(file, target)


def write_bytes(place: PathLike, content: bytes) -> epath.Path:
    """Writes a file, whole or not at all, and returns its path.

    Raises:
        DiskError: the disk or the bucket does not take it.
    """
    with replacing(place) as file:
        file.write(content)
    return path_of(place)


def write_text(place: PathLike, text: str) -> epath.Path:
    """The same for text, in UTF-8; what has no UTF-8, as in names of files, is escaped."""
    return write_bytes(place, text.encode("utf-8", "backslashreplace"))


def write_json(place: PathLike, value: Any, *, indent: int = 1) -> epath.Path:
    """The same for what `plain` makes of a value."""
    text = json.dumps(plain(value), indent=indent, allow_nan=False)
    return write_text(place, text + "\n")


def read_json(place: PathLike, advice: str) -> dict[str, Any]:
    """Reads an object from a JSON file.

    Args:
        place: the file.
        advice: ends the message about a damaged file: what to do.

    Raises:
        FileNotFoundError: there is none.
        UserError: it is damaged, or is no object.
    """
    path = path_of(place)
    try:
        value = json.loads(path.read_bytes())
        if not isinstance(value, dict):
            raise ValueError("not an object")
        return value
    except FileNotFoundError:
        raise
    except (ValueError, OSError, RecursionError) as error:
        raise UserError(f"{path}: cannot be read ({error}); {advice}") from error


def plain(value: Any) -> Any:
    """The same with types that JSON knows; numbers that are not finite become None."""
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value


def sha256_of(place: PathLike) -> str:
    """The sha256 of a file's content, in hexadecimal digits."""
    return hashlib.sha256(path_of(place).read_bytes()).hexdigest()


def make_folder(place: PathLike) -> epath.Path:
    """Makes a folder unless it is there, and returns it; a bucket needs none.

    Raises:
        DiskError: it cannot be made.
    """
    path = path_of(place)
    if not is_bucket(path):
        with writing(path):
            path.mkdir(parents=True, exist_ok=True)
    return path


@contextlib.contextmanager
def locked(place: PathLike, refusal_text: str) -> Iterator[None]:
    """Holds a lock that the next process with the same file does not get.

    It ends with the process, however that ends. Where the file cannot be made, or on a file system
    without locks, nothing is held; what is written next says why. A bucket has no locks, which is
    said in a warning.

    Args:
        place: the lock's file; made, and left there.
        refusal_text: what is said where another process holds it.

    Raises:
        UserError: another process holds it.
    """
    path = path_of(place)
    with contextlib.ExitStack() as stack:
        if is_bucket(path):
            _log.warning(
                "%s: a bucket has no locks; let one process alone write there", path.parent
            )
        else:
            _lock(path, refusal_text, stack)
        yield


def _lock(path: epath.Path, refusal_text: str, stack: contextlib.ExitStack) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        file = stack.enter_context(path.open("a"))
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        raise UserError(refusal_text) from error
    except OSError:
        pass
