"""What the student sees: windows of consecutive frames with their targets, a function of the step.

Two inputs with one interface. `batch(step)` is random access: the same seed and step give the same
batch, whatever came before, so the position in the data is the step and needs no saving.
`expand(batch)` runs inside the compiled step; the generator makes its clips there.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import Protocol, runtime_checkable

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from echodfkd_jax.errors import UserError
from echodfkd_jax.masks import LV_ALONE, Structures
from echodfkd_jax.settings import InputSettings
from echodfkd_jax.training.batches import ALONE, Batch, Shard, TrainingData, WindowInput, pad
from echodfkd_jax.training.windows import Budget, Decoded, Weigh, Window
from echodfkd_jax.types import Clips

# Streams of generated clips.
_TRAINING, _VALIDATION = 0, 1


@runtime_checkable
class Input(TrainingData, Protocol):
    """What training reads for masks.

    Attributes:
        target: what is learnt, as `config.input.target` names it.
        structures: that are learnt.
    """

    target: str
    structures: Structures

    def expand(self, batch: dict[str, jax.Array]) -> dict[str, jax.Array]:
        """`video` uint8 (b, t, h, w, 1) and `target` (b, t, h, w, s); to be compiled with the step.

        Where frames count differently, `frame_weights` float32 (b, t) besides.
        """
        ...


class DatasetInput(WindowInput):
    """Windows of prepared clips with their masks.

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
        weigh: Weigh | None = None,
        shard: Shard = ALONE,
    ) -> None:
        """Opens nothing and reads nothing yet.

        Args:
            train: clips to learn from.
            validation: clips to validate on.
            settings: of `config.input`.
            batch_size: windows per step, over all processes.
            seed: of the order and the windows.
            structures: that are learnt.
            weigh: how much every frame of a clip counts; None: all the same.
            shard: rows of this process.

        Raises:
            UserError: there are fewer training clips than a batch holds, or none to validate on.
        """
        self.target, self.structures = settings.target, structures
        kept = {
            "target": settings.target,
            "structures": structures,
            "weigh": weigh,
            "budget": Budget(int(settings.cache_gib * 2**30)),
        }
        super().__init__(
            Decoded(clips=train, **kept),
            Decoded(clips=validation, **kept),
            Window(settings.window_frames, settings.subsample, settings.phase_windows),
            num_threads=settings.num_threads,
            batch_size=batch_size,
            seed=seed,
            shard=shard,
        )

    def expand(self, batch: dict[str, jax.Array]) -> dict[str, jax.Array]:
        """See `Input`."""
        names = ("video", "target", "frame_weights")
        return {name: batch[name] for name in names if name in batch}


class GeneratorInput:
    """Endless clips, made on the device from their number: no two steps see the same one."""

    def __init__(
        self,
        make: Callable[..., tuple[jax.Array, jax.Array]],
        settings: InputSettings,
        *,
        seen: Sequence[int] | None = None,
        outlined: Sequence[int] | None = None,
        batch_size: int,
        num_train: int,
        num_validation: int,
        seed: int,
        structures: Structures = LV_ALONE,
        teacher: Callable[[Float[Array, "n h w"]], Float[Array, "n h w s"]] | None = None,
        shard: Shard = ALONE,
    ) -> None:
        """Makes nothing yet.

        Args:
            make: `make(key, train=...)` gives the frames that are `seen`, uint8 (n, h, w), and
                exact masks of those that are `outlined`, bool (m, h, w, s); see
                `datasets.generators.maker`.
            settings: `window_frames`, `target` and `subsample` are used.
            seen: numbers of the frames of a window that the network sees; None: all. The others
                are black.
            outlined: those of which something is learnt; None: all.
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
        every = range(settings.window_frames)
        self._seen = np.array(every if seen is None else seen)
        self._outlined = np.array(every if outlined is None else outlined)
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
            batch = pad(_numbered(np.arange(first, last), stream=_VALIDATION), self._batch_size)
            yield {name: values[self._rows] for name, values in batch.items()}

    def expand(self, batch: dict[str, jax.Array]) -> dict[str, jax.Array]:
        """See `Input`."""
        root = jax.random.key(self._seed)

        def make(stream: jax.Array, number: jax.Array) -> tuple[jax.Array, jax.Array]:
            key = jax.random.fold_in(jax.random.fold_in(root, stream), number)
            return self._make(key, train=stream == _TRAINING)

        frames, masks = jax.vmap(make)(batch["stream"], batch["number"])
        frames = self._in_windows(frames, self._seen)
        if self._settings.target == "reference":
            target = self._in_windows(masks.astype(jnp.uint8) * jnp.uint8(255), self._outlined)
        else:
            assert self._teacher is not None  # Needed for this target.
            prob = jax.vmap(self._teacher)(frames.astype(jnp.float32))
            target = jnp.round(255.0 * prob).astype(jnp.uint8)
        every = self._settings.subsample
        video, target = frames[:, :, ::every, ::every], target[:, :, ::every, ::every]
        windows = {"video": video[..., None], "target": target}
        num_frames, clips = self._settings.window_frames, len(frames)
        if len(self._outlined) < num_frames:
            weights = jnp.zeros(num_frames).at[self._outlined].set(1.0)
            windows["frame_weights"] = jnp.broadcast_to(weights, (clips, num_frames))
        return windows

    def _in_windows(self, made: Array, numbers: np.ndarray) -> Array:
        """What was made of some frames, in their places among all of a window."""
        num_frames = self._settings.window_frames
        if len(numbers) == num_frames:
            return made
        whole = jnp.zeros((len(made), num_frames, *made.shape[2:]), made.dtype)
        return whole.at[:, numbers].set(made)


def _numbered(numbers: np.ndarray, *, stream: int) -> Batch:
    return {"number": numbers.astype(np.uint32), "stream": np.full(len(numbers), stream, np.uint32)}
