"""What the student sees: windows of consecutive frames with their targets, a function of the step.

Two inputs with one interface. `batch(step)` is random access: the same seed and step give the same
batch, whatever came before, so the position in the data is the step and needs no saving.
`expand(batch)` runs inside the compiled step; the generator makes its clips there.

Where several processes train, each reads its own rows of a batch; put together in their order, part
by part where gradients are accumulated, they are the batch that one process alone would read.
"""

import dataclasses
import threading
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Protocol, runtime_checkable

import grain
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, UInt8

from echodfkd_jax.errors import UserError
from echodfkd_jax.training.settings import InputSettings
from echodfkd_jax.types import Clip

Batch = dict[str, np.ndarray]
# Streams of generated clips.
_TRAINING, _VALIDATION = 0, 1


@dataclasses.dataclass(frozen=True)
class Share:
    """Which rows of every batch this process reads.

    Attributes:
        index: of the process.
        count: of processes.
        parts: of a batch, taken one after the other; every process has rows of each.
    """

    index: int = 0
    count: int = 1
    parts: int = 1

    def rows(self, batch_size: int) -> np.ndarray:
        """Their places in the batch."""
        places = np.arange(batch_size).reshape(self.parts, self.count, -1)
        return places[:, self.index].reshape(-1)


@runtime_checkable
class ClipSource(Protocol):
    """Random access to clips, as `echodfkd_jax.datasets.prepared.open_split` gives it."""

    def __len__(self) -> int: ...

    def __getitem__(self, index: int) -> Clip: ...


@runtime_checkable
class Input(Protocol):
    """What training reads.

    Attributes:
        steps_per_pass: steps in which every training clip is seen once.
    """

    steps_per_pass: int

    def batch(self, step: int) -> Batch:
        """The training batch of a step, counted from 0."""
        ...

    def batches(self, first_step: int) -> Iterator[Batch]:
        """The training batches from a step on, without end, read ahead."""
        ...

    def validation_batches(self) -> Iterator[Batch]:
        """The validation windows, the same at every call, with `weight` 0 for padding."""
        ...

    def expand(self, batch: dict[str, jax.Array]) -> dict[str, jax.Array]:
        """`video` and `target`, uint8 (b, t, h, w, 1) each; to be compiled with the step."""
        ...


class DatasetInput:
    """Windows of prepared clips: shuffled at every pass, a random start at every visit.

    A clip shorter than the window is continued with its last frame.
    """

    def __init__(
        self,
        train: ClipSource,
        validation: ClipSource,
        settings: InputSettings,
        *,
        batch_size: int,
        seed: int,
        share: Share = Share(),
    ) -> None:
        """Opens nothing and reads nothing yet.

        Args:
            train: clips to learn from.
            validation: clips to validate on.
            settings: of `config.input`.
            batch_size: windows per step, over all processes.
            seed: of the order and the windows.
            share: rows of this process.

        Raises:
            UserError: there are fewer training clips than a batch holds, or none to validate on.
        """
        if len(train) < batch_size:
            raise UserError(
                f"config.train.batch_size={batch_size} is more than the {len(train)} training "
                f"clips; use at most {len(train)}, or prepare more (config.dataset.num_train)"
            )
        if len(validation) == 0:
            raise UserError("there are no validation clips; set config.dataset.num_validation")
        self.steps_per_pass = len(train) // batch_size
        self._settings = settings
        self._rows = batch_size // share.count
        piece = self._rows // share.parts
        budget = _Budget(int(settings.cache_gib * 2**30))
        window = _Window(settings.window_frames, settings.subsample)
        self._train = (
            grain.MapDataset.source(_Decoded(clips=train, target=settings.target, budget=budget))
            .seed(seed)
            .shuffle()
            .random_map(window)
            .batch(piece, drop_remainder=True)
        )
        # Of neighbouring pieces each process takes one, until a part, and then a batch, is full.
        pieces = self.steps_per_pass * share.parts * share.count
        self._train = self._train[:pieces][share.index :: share.count]
        if share.parts > 1:
            self._train = self._train.batch(share.parts, batch_fn=_concatenate)
        self._train = self._train.repeat()
        # Another seed than training's; one window per clip, the same at every epoch.
        validation_windows = (
            grain.MapDataset.source(
                _Decoded(clips=validation, target=settings.target, budget=budget)
            )
            .seed(seed + 1)
            .random_map(window)
            .batch(self._rows, drop_remainder=False)
        )
        self._first_validation = validation_windows[:1]
        self._validation = validation_windows[share.index :: share.count]
        self._validation_steps = -(-len(validation) // batch_size)

    def batch(self, step: int) -> Batch:
        """See `Input`."""
        return self._train[step]

    def batches(self, first_step: int) -> Iterator[Batch]:
        """See `Input`."""
        return iter(self._train[first_step:].to_iter_dataset(self._read_options()))

    def validation_batches(self) -> Iterator[Batch]:
        """See `Input`."""
        batches = iter(self._validation.to_iter_dataset(self._read_options()))
        for _ in range(self._validation_steps):
            batch = next(batches, None)
            # The processes before this one may have read the last windows.
            yield _pad(batch or self._first_validation[0], self._rows, empty=batch is None)

    def expand(self, batch: dict[str, jax.Array]) -> dict[str, jax.Array]:
        """See `Input`."""
        return {"video": batch["video"], "target": batch["target"]}

    def _read_options(self) -> grain.ReadOptions:
        threads = self._settings.num_threads
        return grain.ReadOptions(num_threads=threads, prefetch_buffer_size=2 * threads)


class GeneratorInput:
    """Endless clips, made on the device from their number: no two steps see the same one."""

    def __init__(
        self,
        make_clip: Callable[..., Any],
        settings: InputSettings,
        *,
        batch_size: int,
        num_train: int,
        num_validation: int,
        seed: int,
        poor_windows: float = 0.0,
        teacher: Callable[[Float[Array, "n h w"]], Float[Array, "n h w"]] | None = None,
        share: Share = Share(),
    ) -> None:
        """Makes nothing yet.

        Args:
            make_clip: `make_clip(key, num_frames=..., poor_windows=...)` with `frames` uint8
                (t, h, w) and `mask` bool (t, h, w), to be vmapped.
            settings: `window_frames`, `target` and `subsample` are used.
            batch_size: clips per step.
            num_train: clips in what is called one pass.
            num_validation: clips to validate on.
            seed: of all clips.
            poor_windows: their share among the training clips; there are none to validate on.
            teacher: probabilities of frames 0..255; needed for target "teacher".
            share: rows of this process.

        Raises:
            UserError: there is nothing to train or validate on.
        """
        if num_train < batch_size:
            raise UserError(
                f"config.dataset.num_train={num_train} is less than one batch; use at least "
                f"config.train.batch_size={batch_size}"
            )
        if num_validation < 1:
            raise UserError("config.dataset.num_validation=0: expected 1 or more")
        self.steps_per_pass = num_train // batch_size
        self._make_clip = make_clip
        self._settings = settings
        self._batch_size = batch_size
        self._num_validation = num_validation
        self._seed = seed
        self._rows = share.rows(batch_size)
        self._poor_windows = poor_windows
        self._teacher = teacher

    def batch(self, step: int) -> Batch:
        """See `Input`: the numbers of the clips, which `expand` makes."""
        first = step * self._batch_size
        return _numbered(first + self._rows, stream=_TRAINING)

    def batches(self, first_step: int) -> Iterator[Batch]:
        """See `Input`."""
        step = first_step
        while True:
            yield self.batch(step)
            step += 1

    def validation_batches(self) -> Iterator[Batch]:
        """See `Input`."""
        for first in range(0, self._num_validation, self._batch_size):
            last = min(first + self._batch_size, self._num_validation)
            batch = _pad(_numbered(np.arange(first, last), stream=_VALIDATION), self._batch_size)
            yield {name: values[self._rows] for name, values in batch.items()}

    def expand(self, batch: dict[str, jax.Array]) -> dict[str, jax.Array]:
        """See `Input`."""
        root = jax.random.key(self._seed)

        def make(stream: jax.Array, number: jax.Array) -> tuple[jax.Array, jax.Array]:
            key = jax.random.fold_in(jax.random.fold_in(root, stream), number)
            clip = self._make_clip(
                key,
                num_frames=self._settings.window_frames,
                poor_windows=jnp.where(stream == _TRAINING, self._poor_windows, 0.0),
            )
            return clip.frames, clip.mask

        frames, mask = jax.vmap(make)(batch["stream"], batch["number"])
        if self._settings.target == "reference":
            target = mask.astype(jnp.uint8) * jnp.uint8(255)
        else:
            prob = jax.vmap(self._teacher)(frames.astype(jnp.float32))
            target = jnp.round(255.0 * prob).astype(jnp.uint8)
        every = self._settings.subsample
        video, target = frames[..., ::every, ::every], target[..., ::every, ::every]
        return {"video": video[..., None], "target": target[..., None]}


def _numbered(numbers: np.ndarray, *, stream: int) -> Batch:
    return {"number": numbers.astype(np.uint32), "stream": np.full(len(numbers), stream, np.uint32)}


def _pad(batch: Batch, size: int, *, empty: bool = False) -> Batch:
    """Repeats the last clip up to `size`, with weight 0, so that one program serves all batches.

    `empty`: all clips get weight 0.
    """
    count = len(next(iter(batch.values())))
    take = np.minimum(np.arange(size), count - 1)
    padded = {name: value[take] for name, value in batch.items()}
    weighty = 0 if empty else count
    return {**padded, "weight": (np.arange(size) < weighty).astype(np.float32)}


def _concatenate(batches: Sequence[Batch]) -> Batch:
    return {name: np.concatenate([batch[name] for batch in batches]) for name in batches[0]}


class _Window:
    """Cuts `frames` consecutive frames from a random start out of a decoded clip.

    Of each frame every `subsample`-th row and column is kept, as the published code does.
    """

    def __init__(self, frames: int, subsample: int) -> None:
        self._frames = frames
        self._subsample = subsample

    def __call__(
        self,
        clip: tuple[UInt8[np.ndarray, "t h w"], UInt8[np.ndarray, "t h w"]],
        rng: np.random.Generator,
    ) -> dict[str, UInt8[np.ndarray, "n _ _ 1"]]:
        length = len(clip[0])
        start = int(rng.integers(0, max(length - self._frames, 0) + 1))
        take = np.minimum(np.arange(start, start + self._frames), length - 1)
        every = self._subsample
        video, target = (pixels[take, ::every, ::every, None] for pixels in clip)
        return {"video": video, "target": target}


class _Budget:
    """Bytes that may still be kept in memory."""

    def __init__(self, num_bytes: int) -> None:
        self._left = num_bytes
        self._lock = threading.Lock()

    def take(self, num_bytes: int) -> bool:
        with self._lock:
            fits = num_bytes <= self._left
            self._left -= num_bytes if fits else 0
            return fits


class _Decoded:
    """Frames and targets of clips, kept in memory after the first reading while they fit."""

    def __init__(self, *, clips: ClipSource, target: str, budget: _Budget) -> None:
        self._clips = clips
        self._target = target
        self._budget = budget
        self._kept: dict[int, tuple[np.ndarray, np.ndarray]] = {}

    def __len__(self) -> int:
        return len(self._clips)

    def __getitem__(self, index: int) -> tuple[np.ndarray, np.ndarray]:
        if index in self._kept:
            return self._kept[index]
        clip = self._clips[index]
        decoded = (clip.frames, target_of(clip, self._target))
        if self._budget.take(sum(array.nbytes for array in decoded)):
            self._kept[index] = decoded
        return decoded


def target_of(clip: Clip, target: str) -> UInt8[np.ndarray, "t h w"]:
    """What the student is to learn on a clip, 255 * probability.

    Args:
        clip: with a teacher's mask, or with a reference mask for every frame.
        target: "teacher" or "reference".

    Raises:
        UserError: the clip has no such target.
    """
    if target == "teacher":
        if clip.teacher_mask is None:
            raise UserError(
                f"clip {clip.name} has no teacher's mask; run --stage=prepare on this data set"
            )
        return clip.teacher_mask
    if len(clip.reference_frames) != len(clip.frames):
        raise UserError(
            f"config.input.target='reference' needs a mask for every frame, clip {clip.name} has "
            f"{len(clip.reference_frames)} of {len(clip.frames)}; use 'teacher'"
        )
    masks = np.zeros(clip.frames.shape, np.uint8)
    masks[clip.reference_frames] = clip.reference_masks.astype(np.uint8) * 255
    return masks
