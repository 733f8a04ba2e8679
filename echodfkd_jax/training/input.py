"""What the student sees: windows of consecutive frames with their targets, a function of the step.

Two inputs with one interface. `batch(step)` is random access: the same seed and step give the same
batch, whatever came before, so the position in the data is the step and needs no saving.
`expand(batch)` runs inside the compiled step; the generator makes its clips there.

Where several processes train, each reads its own rows of a batch; put together in their order, part
by part where gradients are accumulated, they are the batch that one process alone would read.
"""

import dataclasses
from collections.abc import Callable, Iterator, Sequence
from typing import Protocol, runtime_checkable

import grain
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from echodfkd_jax.errors import UserError
from echodfkd_jax.masks import LV_ALONE, Structures
from echodfkd_jax.settings import InputSettings
from echodfkd_jax.training.windows import Budget, Decoded, Window
from echodfkd_jax.types import Clips

Batch = dict[str, np.ndarray]
# Streams of generated clips.
_TRAINING, _VALIDATION = 0, 1


@dataclasses.dataclass(frozen=True)
class Shard:
    """Which rows of every batch this process reads.

    Attributes:
        index: of the process.
        count: of processes.
        micro_batches: of a batch, taken one after the other; every process has rows of each.
    """

    index: int = 0
    count: int = 1
    micro_batches: int = 1

    def rows(self, batch_size: int) -> np.ndarray:
        """Their places in the batch."""
        places = np.arange(batch_size).reshape(self.micro_batches, self.count, -1)
        return places[:, self.index].reshape(-1)


@runtime_checkable
class Input(Protocol):
    """What training reads.

    Attributes:
        steps_per_pass: steps in which every training clip is seen once.
        target: what is learnt, as `config.input.target` names it.
        structures: that are learnt.
    """

    steps_per_pass: int
    target: str
    structures: Structures

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
        """`video` uint8 (b, t, h, w, 1) and `target` (b, t, h, w, s); to be compiled with the step.

        Where frames count differently, `frame_weights` float32 (b, t) besides.
        """
        ...


class DatasetInput:
    """Windows of prepared clips: shuffled at every pass, a random start at every visit.

    A clip shorter than the window is continued with its last frame.
    """

    def __init__(
        self,
        train: Clips,
        validation: Clips,
        settings: InputSettings,
        *,
        batch_size: int,
        seed: int,
        structures: Structures = LV_ALONE,
        shard: Shard = Shard(),
    ) -> None:
        """Opens nothing and reads nothing yet.

        Args:
            train: clips to learn from.
            validation: clips to validate on.
            settings: of `config.input`.
            batch_size: windows per step, over all processes.
            seed: of the order and the windows.
            structures: that are learnt.
            shard: rows of this process.

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
        self.steps_per_pass, self.target = len(train) // batch_size, settings.target
        self.structures = structures
        self._settings = settings
        self._rows = batch_size // shard.count
        piece = self._rows // shard.micro_batches
        kept = {
            "target": settings.target,
            "structures": structures,
            "budget": Budget(int(settings.cache_gib * 2**30)),
        }
        window = Window(settings.window_frames, settings.subsample, settings.phase_windows)
        self._train = (
            grain.MapDataset.source(Decoded(clips=train, **kept))
            .seed(seed)
            .shuffle()
            .random_map(window)
            .batch(piece, drop_remainder=True)
        )
        # Of neighbouring pieces each process takes one, until a micro-batch is full, then a batch.
        pieces = self.steps_per_pass * shard.micro_batches * shard.count
        self._train = self._train[:pieces][shard.index :: shard.count]
        if shard.micro_batches > 1:
            self._train = self._train.batch(shard.micro_batches, batch_fn=_concatenate)
        self._train = self._train.repeat()
        # Another seed than training's; one window per clip, the same at every epoch.
        validation_windows = (
            grain.MapDataset.source(Decoded(clips=validation, **kept))
            .seed(seed + 1)
            .random_map(window)
            .batch(self._rows, drop_remainder=False)
        )
        self._first_validation = validation_windows[:1]
        self._validation = validation_windows[shard.index :: shard.count]
        self._validation_steps = -(-len(validation) // batch_size)

    def batch(self, step: int) -> Batch:
        """See `Input`."""
        return _at(self._train, step)

    def batches(self, first_step: int) -> Iterator[Batch]:
        """See `Input`."""
        return iter(self._train[first_step:].to_iter_dataset(self._read_options()))

    def validation_batches(self) -> Iterator[Batch]:
        """See `Input`."""
        batches = iter(self._validation.to_iter_dataset(self._read_options()))
        for _ in range(self._validation_steps):
            batch = next(batches, None)
            # The processes before this one may have read the last windows.
            shown = batch or _at(self._first_validation, 0)
            yield _pad(shown, self._rows, empty=batch is None)

    def expand(self, batch: dict[str, jax.Array]) -> dict[str, jax.Array]:
        """See `Input`."""
        names = ("video", "target", "frame_weights")
        return {name: batch[name] for name in names if name in batch}

    def _read_options(self) -> grain.ReadOptions:
        threads = self._settings.num_threads
        return grain.ReadOptions(num_threads=threads, prefetch_buffer_size=2 * threads)


class GeneratorInput:
    """Endless clips, made on the device from their number: no two steps see the same one."""

    def __init__(
        self,
        make: Callable[..., tuple[jax.Array, jax.Array]],
        settings: InputSettings,
        *,
        batch_size: int,
        num_train: int,
        num_validation: int,
        seed: int,
        structures: Structures = LV_ALONE,
        teacher: Callable[[Float[Array, "n h w"]], Float[Array, "n h w s"]] | None = None,
        shard: Shard = Shard(),
    ) -> None:
        """Makes nothing yet.

        Args:
            make: `make(key, num_frames=..., train=...)` gives frames uint8 (t, h, w) and exact
                masks bool (t, h, w, s); see `datasets.generators.maker`.
            settings: `window_frames`, `target` and `subsample` are used.
            batch_size: clips per step.
            num_train: clips in what is called one pass.
            num_validation: clips to validate on.
            seed: of all clips.
            structures: that are learnt.
            teacher: probabilities of these for frames 0..255; needed for target "teacher".
            shard: rows of this process.

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
        self.steps_per_pass, self.target = num_train // batch_size, settings.target
        self.structures = structures
        self._make = make
        self._settings = settings
        self._batch_size = batch_size
        self._num_validation = num_validation
        self._seed = seed
        self._rows = shard.rows(batch_size)
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
            num_frames = self._settings.window_frames
            return self._make(key, num_frames=num_frames, train=stream == _TRAINING)

        frames, mask = jax.vmap(make)(batch["stream"], batch["number"])
        if self._settings.target == "reference":
            target = mask.astype(jnp.uint8) * jnp.uint8(255)
        else:
            assert self._teacher is not None  # Needed for this target.
            prob = jax.vmap(self._teacher)(frames.astype(jnp.float32))
            target = jnp.round(255.0 * prob).astype(jnp.uint8)
        every = self._settings.subsample
        video, target = frames[:, :, ::every, ::every], target[:, :, ::every, ::every]
        return {"video": video[..., None], "target": target}


def _at(batches: grain.MapDataset, index: int) -> Batch:
    batch = batches[index]
    assert batch is not None  # grain gives None for what a filter drops; there is no filter.
    return batch


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
