"""Files and folders on their way from and to a bucket; local ones are used where they are.

Video decoders, ArrayRecord, Orbax (for `s3://`) and TensorBoard's writer know local files alone,
and a bucket knows no appending and no renaming of folders. So what is read is fetched, what grows
is written locally and sent again as a whole, and what must be complete is sent with its mark last.
"""

import contextlib
import os
import pathlib
import shutil
import tempfile
from collections.abc import Iterable, Iterator
from typing import Any

from etils import epath

from echodfkd_jax import files
from echodfkd_jax.disk import writing
from echodfkd_jax.errors import UserError
from echodfkd_jax.files import PathLike

_STAMPS = ".fetched.json"
_PART = ".part."
# How file systems call what tells one content from another, the best first.
_STAMP_KEYS = ("ETag", "etag", "md5Hash", "generation", "mtime", "LastModified", "created")


def cache_of(place: PathLike) -> pathlib.Path:
    """Where the local copy of a bucket's file or folder is kept: below `~/.cache/echodfkd`."""
    cache = os.environ.get("XDG_CACHE_HOME") or files.expanded("~/.cache")
    return pathlib.Path(cache, "echodfkd", *os.fspath(place).replace("://", "/").split("/"))


def local_copy(place: PathLike) -> pathlib.Path:
    """A local path to read a file or a folder from.

    That of a bucket is kept in the cache; what is there and unchanged is not fetched again.

    Raises:
        UserError: the bucket cannot be reached, or nothing is there.
    """
    path = files.path_of(place)
    if not files.is_bucket(path):
        return pathlib.Path(path)
    return _fetch(path, cache_of(path))


@contextlib.contextmanager
def fetched(place: PathLike) -> Iterator[pathlib.Path]:
    """The same, but the copy ends with the block."""
    path = files.path_of(place)
    if not files.is_bucket(path):
        yield pathlib.Path(path)
        return
    with tempfile.TemporaryDirectory(prefix="echodfkd_") as folder:
        yield _fetch(path, pathlib.Path(folder) / path.name)


def send(folder: pathlib.Path, place: PathLike, *, last: str = "") -> None:
    """Copies a folder's files; what is at the place and not in the folder is left there.

    Args:
        folder: a local one.
        place: where to; a bucket's or local.
        last: the file whose presence says that all are there.

    Raises:
        DiskError: the place does not take them.
    """
    target = files.path_of(place)
    names = _below(folder)
    with writing(target):
        if not files.is_bucket(target):
            shutil.copytree(folder, target, dirs_exist_ok=True)
            return
        _put(folder, target, [name for name in names if name != last])
        _put(folder, target, [name for name in names if name == last])
        if folder == cache_of(target):  # It is the copy of what is there now.
            system, key = _system_of(target)
            found = system.find(key, detail=True)
            stamps = {name.removeprefix(f"{key}/"): _stamp(found[name]) for name in found}
            files.write_json(folder / _STAMPS, stamps)


@contextlib.contextmanager
def replacing_folder(place: PathLike) -> Iterator[pathlib.Path]:
    """Gives an empty folder that takes the place of another at the end of the block.

    In a bucket there is a moment in which the old files are gone and the new ones not all there.

    Raises:
        DiskError: the place does not take it; what was there is kept.
    """
    target = files.path_of(place)
    if files.is_bucket(target):
        with tempfile.TemporaryDirectory(prefix="echodfkd_") as folder:
            yield pathlib.Path(folder)
            remove(target)
            send(pathlib.Path(folder), target)
        return
    part = pathlib.Path(target.with_name(target.name + ".part"))
    with writing(target):
        shutil.rmtree(part, ignore_errors=True)
        try:
            part.mkdir(parents=True)
            yield part
        except BaseException:
            shutil.rmtree(part, ignore_errors=True)
            raise
        shutil.rmtree(target, ignore_errors=True)
        part.replace(target)


def remove(place: PathLike) -> None:
    """Removes a folder with all that is in it; one that is not there is none to remove."""
    files.path_of(place).rmtree(missing_ok=True)


def move_folder(source: PathLike, target: PathLike) -> epath.Path:
    """Moves a folder within a disk or a bucket, and returns where it is."""
    path, aside = files.path_of(source), files.path_of(target)
    if files.is_bucket(path):
        system, key = _system_of(path)
        _, key_aside = _system_of(aside)
        found = system.find(key)
        system.copy(found, [key_aside + name.removeprefix(key) for name in found])
        system.rm(key, recursive=True)
    else:
        files.make_folder(aside.parent)
        path.rename(aside)
    return aside


class Outbox:
    """A local folder whose files also come to a bucket; for files that grow.

    Attributes:
        local: the folder to write into: the place itself where that is local.
    """

    def __init__(self, place: PathLike) -> None:
        """Nothing is made or fetched."""
        self.place = files.path_of(place)
        self._temporary: tempfile.TemporaryDirectory[str] | None = None
        self._sent: dict[str, tuple[int, int]] = {}
        if files.is_bucket(self.place):
            self._temporary = tempfile.TemporaryDirectory(prefix="echodfkd_")
            self.local = pathlib.Path(self._temporary.name)
        else:
            self.local = pathlib.Path(self.place)

    def send(self) -> None:
        """Brings what has changed since the last time to the bucket, each file whole.

        Raises:
            DiskError: the bucket does not take it.
        """
        if self._temporary is None:
            return
        now = {name: _size_and_time(self.local / name) for name in _below(self.local)}
        changed = [name for name, state in now.items() if self._sent.get(name) != state]
        with writing(self.place):
            _put(self.local, self.place, changed)
        self._sent = now

    def close(self) -> None:
        """Removes the local folder where it is not the place itself; does not send."""
        if self._temporary is not None:
            self._temporary.cleanup()


def _fetch(path: epath.Path, target: pathlib.Path) -> pathlib.Path:
    """Makes `target` the same as a bucket's file or folder."""
    with _reading(path):
        system, key = _system_of(path)
        found = system.find(key, detail=True)
        if not found:
            raise UserError(f"{path}: nothing is there")
        if list(found) == [key]:
            return _fetch_files(system, {path.name: (key, _stamp(found[key]))}, target.parent)[0]
        wanted = {
            name.removeprefix(f"{key}/"): (name, _stamp(info)) for name, info in found.items()
        }
        kept = set(_fetch_files(system, wanted, target))
        for name in _below(target):
            if target / name not in kept:
                (target / name).unlink()
        return target


def _fetch_files(
    system: Any, wanted: dict[str, tuple[str, str]], folder: pathlib.Path
) -> list[pathlib.Path]:
    """Fetches keys by local name, unless their stamps say that they are there."""
    try:
        stamps = files.read_json(folder / _STAMPS, "")
    except (FileNotFoundError, UserError):
        stamps = {}
    missing = {
        name: key
        for name, (key, stamp) in wanted.items()
        if stamps.get(name) != stamp or not (folder / name).is_file()
    }
    if missing:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=_PART, dir=folder) as part:
            arrived = [pathlib.Path(part) / str(number) for number in range(len(missing))]
            system.get(list(missing.values()), [str(file) for file in arrived])
            for file, name in zip(arrived, missing, strict=True):
                (folder / name).parent.mkdir(parents=True, exist_ok=True)
                file.replace(folder / name)
        stamps |= {name: stamp for name, (_, stamp) in wanted.items()}
        files.write_json(folder / _STAMPS, stamps)
    return [folder / name for name in wanted]


def _put(folder: pathlib.Path, target: epath.Path, names: Iterable[str]) -> None:
    names = list(names)
    if names:
        system, key = _system_of(target)
        system.put([str(folder / name) for name in names], [f"{key}/{name}" for name in names])


def _system_of(path: epath.Path) -> tuple[Any, str]:
    """The bucket's file system, and how that calls a path."""
    import fsspec

    return fsspec.core.url_to_fs(os.fspath(path))


@contextlib.contextmanager
def _reading(path: epath.Path) -> Iterator[None]:
    try:
        yield
    except UserError:
        raise
    except Exception as error:  # Every provider's library has errors of its own.
        raise UserError(
            f"{path}: cannot be read ({type(error).__name__}: {error}); check the bucket's name "
            "and this machine's credentials"
        ) from error


def _stamp(info: dict[str, Any]) -> str:
    mark = next((info[key] for key in _STAMP_KEYS if info.get(key)), "")
    return f"{info['size']} {mark}"


def _below(folder: pathlib.Path) -> list[str]:
    """Names of a folder's files; not those that are arriving, and what is known about them."""
    names = (path.relative_to(folder) for path in folder.rglob("*") if path.is_file())
    own = (_PART, _STAMPS)
    return [name.as_posix() for name in names if not name.parts[0].startswith(own)]


def _size_and_time(path: pathlib.Path) -> tuple[int, int]:
    status = path.stat()
    return status.st_size, status.st_mtime_ns
