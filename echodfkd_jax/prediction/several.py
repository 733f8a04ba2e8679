"""Any number of clips: read ahead, outlined with others of like length, written, kept.

A clip's JSON is written last of its files and says of which file, by which network, in which way
and by which version it was made. Where one is found that says the same, the clip is done, and its
record is read instead of made again. So the same call continues what was cut short.
"""

import collections
import dataclasses
import hashlib
import os
import pathlib
import sys
from collections.abc import Iterable, Iterator, Mapping
from concurrent import futures
from typing import Any, NamedTuple

import jax
import numpy as np
import tqdm
from etils import epath

from echodfkd_jax import buckets, files
from echodfkd_jax.clips.pictures import in_folder
from echodfkd_jax.errors import DiskError, UserError
from echodfkd_jax.interop.viewers.formats import Format
from echodfkd_jax.networks.inference import padded_length
from echodfkd_jax.networks.loaded import LoadedNetwork
from echodfkd_jax.networks.trust import load_trust
from echodfkd_jax.prediction import clip as clips_
from echodfkd_jax.prediction import outlining
from echodfkd_jax.reporting import predictions
from echodfkd_jax.runs import provenance
from echodfkd_jax.settings import PredictSettings
from echodfkd_jax.types import Frames

OK = "ok"
Record = dict[str, Any]
# Clips in a call of the network: on a CPU one is as fast as several, and needs less memory.
_AT_ONCE_CPU, _AT_ONCE = 1, 8
# Frames of clips that wait for others of their padded length.
_MOST_WAITING_BYTES = 2**29


class Item(NamedTuple):
    """A clip to be predicted.

    Attributes:
        number: its place among all of them.
        name: of its results; no two have the same.
        clip: its file or folder, also in a bucket, or its frames.
    """

    number: int
    name: str
    clip: files.PathLike | Frames

    @property
    def source(self) -> str:
        """Where it is from, for people."""
        return "array" if isinstance(self.clip, np.ndarray) else str(self.clip)


@dataclasses.dataclass(frozen=True, eq=False)
class Work:
    """What is done with every clip.

    Attributes:
        student: outlines it.
        settings: `crop`, `fps`, `mirrored` and `formats` are used.
        refined: see `outlining.outline`.
        output: folder of the results, which exists; None: nothing is written or kept.
        formats: of `settings.formats`.
        failed: name -> reason, of clips that are known to be none.
    """

    student: LoadedNetwork
    settings: PredictSettings
    refined: bool
    output: epath.Path | None
    formats: Mapping[str, Format]
    failed: Mapping[str, str] = dataclasses.field(default_factory=dict)

    def made(self) -> dict[str, Any]:
        """What decides a result besides the clip, as its JSON has it."""
        how = self.settings
        return {
            "student": self.student.metadata,
            "judged_by": load_trust().fingerprint,
            "made_by": made_by(),
            "settings": {
                "crop": how.crop,
                "fps": how.fps,
                "mirrored": how.mirrored,
                "formats": list(how.formats),
                "refined": self.refined,
            },
        }


@dataclasses.dataclass(frozen=True, eq=False)
class Done:
    """What became of a clip.

    Attributes:
        number: the clip's place among all of them.
        sha256: of its content; "" where it cannot be read.
        record: its line of the table; `status` is "ok" or why there is nothing else.
        content: of its JSON; None where it failed.
        kept: it was done before.
    """

    number: int
    sha256: str
    record: Record
    content: Mapping[str, Any] | None
    kept: bool = False

    @property
    def failed(self) -> bool:
        """Whether there is no outline."""
        return self.content is None


@dataclasses.dataclass(frozen=True, eq=False)
class _Loaded:
    """A clip that waits to be outlined, or what became of it already."""

    item: Item
    path: pathlib.Path | None = None
    sha256: str = ""
    fit: outlining.Fit | None = None
    done: Done | None = None


def made_by() -> dict[str, str]:
    """The version of the package."""
    import echodfkd_jax

    return {"version": echodfkd_jax.__version__, "commit": provenance.commit()}


def predict_all(
    items: Iterable[Item], work: Work, *, total: int | None, quiet: bool = False
) -> Iterator[Done]:
    """Predicts clips, with a progress bar; those that wait for others come later.

    Args:
        items: the clips, asked for as they are needed.
        work: what is done with them.
        total: how many there are; None: nobody knows.
        quiet: without the bar.

    Raises:
        DiskError: the results cannot be written.
    """
    with tqdm.tqdm(
        total=total, desc="predicting", unit="clip", smoothing=0.1, disable=quiet
    ) as bar:
        for done in _predict(items, work):
            yield done
            bar.update()


def say(text: str, *, failure: bool = False) -> None:
    """Prints a line beside the progress bar."""
    tqdm.tqdm.write(text, file=sys.stderr if failure else sys.stdout)


def sha256_of(clip: pathlib.Path | Frames) -> str:
    """Of a clip's content: a file's bytes, those of a folder's pictures, or frames and shape."""
    if isinstance(clip, np.ndarray):
        digest = hashlib.sha256(f"{clip.dtype.str} {clip.shape};".encode())
        digest.update(np.ascontiguousarray(clip).data)
        return digest.hexdigest()
    if not clip.is_dir() and clip.suffix.lower() != ".png":
        return files.sha256_of(clip)
    digest = hashlib.sha256()
    for path in in_folder(clip if clip.is_dir() else clip.parent):
        digest.update(os.fsencode(path.name) + f" {files.sha256_of(path)};".encode())
    return digest.hexdigest()


def _predict(items: Iterable[Item], work: Work) -> Iterator[Done]:
    at_once = _AT_ONCE_CPU if jax.default_backend() == "cpu" else _AT_ONCE
    made = work.made()
    waiting: dict[int, list[_Loaded]] = {}
    for loaded in _read_ahead(items, work, made):
        if loaded.done is not None:
            yield loaded.done
            continue
        assert loaded.fit is not None
        length = padded_length(work.student, len(loaded.fit.fitted.frames))
        waiting.setdefault(length, []).append(loaded)
        if len(waiting[length]) == at_once:
            yield from _finish(waiting.pop(length), work, made, at_once)
        elif sum(map(_num_bytes, waiting.values())) > _MOST_WAITING_BYTES:
            largest = max(waiting, key=lambda length: _num_bytes(waiting[length]))
            yield from _finish(waiting.pop(largest), work, made, at_once)
    for length in sorted(waiting):
        yield from _finish(waiting[length], work, made, at_once)


def _read_ahead(items: Iterable[Item], work: Work, made: Mapping[str, Any]) -> Iterator[_Loaded]:
    """Reads the next clip while one is outlined."""
    with futures.ThreadPoolExecutor(max_workers=1) as reader:
        ahead: collections.deque[futures.Future[_Loaded]] = collections.deque()
        try:
            for item in items:
                ahead.append(reader.submit(_load, item, work, made))
                if len(ahead) > 1:
                    yield ahead.popleft().result()
            while ahead:
                yield ahead.popleft().result()
        finally:
            reader.shutdown(wait=True, cancel_futures=True)


def _load(item: Item, work: Work, made: Mapping[str, Any]) -> _Loaded:
    """Reads a clip, unless it is done, or known to be none."""
    sha256 = ""
    try:
        if item.name in work.failed:
            raise UserError(work.failed[item.name])
        clip = item.clip if isinstance(item.clip, np.ndarray) else buckets.local_copy(item.clip)
        sha256 = _sha256_of(clip)
        content = _kept(item, sha256, work, made)
        if content is not None:
            return _Loaded(item, done=_done(item, sha256, content, kept=True))
        path = None if isinstance(clip, np.ndarray) else clip
        return _Loaded(item, path, sha256, outlining.read(clip, work.settings.crop))
    except DiskError:  # The next clips would not find room either.
        raise
    except UserError as error:
        return _Loaded(item, done=_failed(item, sha256, str(error)))


def _sha256_of(clip: pathlib.Path | Frames) -> str:
    try:
        return sha256_of(clip)
    except OSError:
        return ""  # What is wrong with it is said by what reads it.


def _finish(
    clips: list[_Loaded], work: Work, made: Mapping[str, Any], at_once: int
) -> Iterator[Done]:
    """Outlines and writes clips of one padded length."""
    fits = [clip.fit for clip in clips if clip.fit is not None]
    try:
        outlined = outlining.outline(
            fits, work.student, work.settings, refined=work.refined, at_once=at_once
        )
    except UserError as error:  # The student does not take frames of this size.
        yield from (_failed(clip.item, clip.sha256, str(error)) for clip in clips)
        return
    for clip, found in zip(clips, outlined):
        item = clip.item
        content = clips_.describe(
            found, item.name, item.source, work.student.metadata, work.settings.crop
        )
        content |= {**made, "input_sha256": clip.sha256}
        if work.output is not None:
            content = clips_.write(found, content, clip.path, work.output, work.formats)
        yield _done(item, clip.sha256, predictions.stored(content))


def _kept(item: Item, sha256: str, work: Work, made: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """The content of the JSON of a clip that was done before, in the same way."""
    if work.output is None or not sha256:
        return None
    path = work.output / f"{item.name}.json"
    try:
        content = files.read_json(path, "")
    except (FileNotFoundError, UserError):
        return None
    wanted = {**made, "input_sha256": sha256, "source": item.source}
    if any(content.get(key) != value for key, value in predictions.stored(wanted).items()):
        return None
    return content if predictions.is_whole(work.output, content) else None


def _done(item: Item, sha256: str, content: Mapping[str, Any], *, kept: bool = False) -> Done:
    row = {**content, "name": item.name, "source": item.source, "status": OK}
    return Done(item.number, sha256, predictions.flat(row), content, kept)


def _failed(item: Item, sha256: str, reason: str) -> Done:
    row = {"name": item.name, "source": item.source, "status": reason}
    return Done(item.number, sha256, predictions.flat(row), None)


def _num_bytes(clips: list[_Loaded]) -> int:
    return sum(clip.fit.source.frames.nbytes for clip in clips if clip.fit is not None)
