"""What a generator of clips sees: windows at one frame rate, and what is known of them."""

from typing import NamedTuple

import numpy as np

from echodfkd_jax.errors import UserError
from echodfkd_jax.settings import InputSettings
from echodfkd_jax.synthesis.diffusion import frames
from echodfkd_jax.training.batches import Batch, Shard, WindowInput
from echodfkd_jax.training.windows import Budget
from echodfkd_jax.types import Clip, Clips, Frames


class KnownClip(NamedTuple):
    """A decoded clip without its masks.

    Attributes:
        frames: uint8 (t, h, w).
        indices: those of its frames that make the frame rate that is learnt.
        fraction: ejection fraction, 0..1; nan where it is unknown.
    """

    frames: Frames
    indices: np.ndarray
    fraction: float


class ClipInput(WindowInput):
    """Windows of prepared clips for `generator_step`; what is past a clip's end is black."""

    def __init__(
        self,
        train: Clips,
        validation: Clips,
        settings: InputSettings,
        *,
        fps: float,
        batch_size: int,
        seed: int,
        shard: Shard,
    ) -> None:
        """Opens nothing and reads nothing yet.

        Args:
            train: clips to learn from.
            validation: clips to validate on.
            settings: of `config.input`; `window_frames`, `num_threads` and `cache_gib` are used.
            fps: frames per second that clips are brought to; those of unknown rate are taken as
                they are.
            batch_size: windows per step, over all processes.
            seed: of the order and the windows.
            shard: rows of this process.

        Raises:
            UserError: there are fewer training clips than a batch holds, none to validate on, or
                what is asked for has no meaning for clips without masks.
        """
        settings.require(
            settings.source == "dataset", "source", settings.source, "'dataset' for a generator"
        )
        settings.require(
            settings.subsample == 1, "subsample", settings.subsample, "1 for a generator"
        )
        budget = Budget(int(settings.cache_gib * 2**30))
        super().__init__(
            _Known(train, fps, budget),
            _Known(validation, fps, budget),
            _KnownWindow(settings.window_frames),
            num_threads=settings.num_threads,
            batch_size=batch_size,
            seed=seed,
            shard=shard,
        )


class _Known:
    """Clips, kept in memory after the first reading while they fit."""

    def __init__(self, clips: Clips, fps: float, budget: Budget) -> None:
        self._clips, self._fps, self._budget = clips, fps, budget
        self._kept: dict[int, KnownClip] = {}

    def __len__(self) -> int:
        return len(self._clips)

    def __getitem__(self, index: int) -> KnownClip:
        if index in self._kept:
            return self._kept[index]
        known = known_clip(self._clips[index], self._fps)
        if self._budget.take(known.frames.nbytes):
            self._kept[index] = known
        return known


def known_clip(clip: Clip, fps: float) -> KnownClip:
    """What a generator learns of a clip.

    Args:
        clip: of any frame rate, also of an unknown one.
        fps: frames per second that it is brought to.

    Raises:
        UserError: the clip is shorter than one frame at that rate.
    """
    rate = clip.fps if np.isfinite(clip.fps) and clip.fps > 0 else fps
    indices = frames.resample(len(clip.frames), float(rate), fps)
    if len(indices) == 0:
        raise UserError(
            f"clip {clip.name} has {len(clip.frames)} frames at {rate:g} a second, less than one "
            f"at config.generator.fps={fps:g}; leave it out (config.dataset.min_frames)"
        )
    return KnownClip(clip.frames, indices, clip.ef_percent / 100)


class _KnownWindow:
    """Cuts a window out of a clip; `still` is any frame of the clip, whatever the window."""

    def __init__(self, length: int) -> None:
        self._length = length

    def __call__(self, clip: KnownClip, rng: np.random.Generator) -> Batch:
        window = frames.window_of(rng, clip.indices, len(clip.frames), self._length)
        video = clip.frames[window.indices]
        video[window.count :] = 0
        return {
            "video": video[..., None],
            "count": np.array(window.count, np.int32),
            "still": clip.frames[rng.integers(len(clip.frames))][..., None],
            "fraction": np.array(clip.fraction, np.float32),
        }
