"""Batches of windows: which, in which order, and which of their rows a process reads.

Where several processes train, each reads its own rows of a batch; put together in their order, part
by part where gradients are accumulated, they are the batch that one process alone would read.
"""

import dataclasses
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Protocol, runtime_checkable

import grain
import numpy as np

from echodfkd_jax.errors import UserError

Batch = dict[str, np.ndarray]


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


# One process trains, without gradient accumulation.
ALONE = Shard()


@runtime_checkable
class TrainingData(Protocol):
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


class WindowInput:
    """Windows of clips: shuffled at every pass, a random start at every visit.

    Attributes:
        steps_per_pass: steps in which every training clip is seen once.
    """

    def __init__(
        self,
        train: Any,
        validation: Any,
        window: Callable[[Any, np.random.Generator], Batch],
        *,
        num_threads: int,
        batch_size: int,
        seed: int,
        shard: Shard = ALONE,
    ) -> None:
        """Opens nothing and reads nothing yet.

        Args:
            train: what is learnt from: its number, and each by its index.
            validation: what is validated on, likewise.
            window: cuts a window out of one of them.
            num_threads: that read ahead.
            batch_size: windows per step, over all processes.
            seed: of the order and the windows.
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
        self.steps_per_pass, self._num_threads = len(train) // batch_size, num_threads
        self._rows = batch_size // shard.count
        piece = self._rows // shard.micro_batches
        self._train = (
            grain.MapDataset.source(train)
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
            grain.MapDataset.source(validation)
            .seed(seed + 1)
            .random_map(window)
            .batch(self._rows, drop_remainder=False)
        )
        self._first_validation = validation_windows[:1]
        self._validation = validation_windows[shard.index :: shard.count]
        self._validation_steps = -(-len(validation) // batch_size)

    def batch(self, step: int) -> Batch:
        """See `TrainingData`."""
        return _at(self._train, step)

    def batches(self, first_step: int) -> Iterator[Batch]:
        """See `TrainingData`."""
        return iter(self._train[first_step:].to_iter_dataset(self._read_options()))

    def validation_batches(self) -> Iterator[Batch]:
        """See `TrainingData`."""
        batches = iter(self._validation.to_iter_dataset(self._read_options()))
        for _ in range(self._validation_steps):
            batch = next(batches, None)
            # The processes before this one may have read the last windows.
            shown = batch or _at(self._first_validation, 0)
            yield pad(shown, self._rows, empty=batch is None)

    def _read_options(self) -> grain.ReadOptions:
        threads = self._num_threads
        return grain.ReadOptions(num_threads=threads, prefetch_buffer_size=2 * threads)


def _at(batches: grain.MapDataset, index: int) -> Batch:
    batch = batches[index]
    assert batch is not None  # grain gives None for what a filter drops; there is no filter.
    return batch


def pad(batch: Batch, size: int, *, empty: bool = False) -> Batch:
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
