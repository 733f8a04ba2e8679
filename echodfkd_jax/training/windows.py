"""Windows of consecutive frames, cut from clips that are read once and kept while they fit."""

import threading
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Shaped, UInt8

from echodfkd_jax.errors import UserError
from echodfkd_jax.masks import LV_ALONE, Structures, pick_structures
from echodfkd_jax.types import Clip, Clips

# How much every frame of a clip counts, (t).
Weigh = Callable[[Clip], Float[np.ndarray, "_"]]


class Pixels(NamedTuple):
    """A decoded clip.

    Attributes:
        frames: (t, h, w).
        target: (t, h, w, s).
        traced: which frames are, (t); None: all.
        weights: how much every frame counts, (t); None: all the same.
    """

    frames: np.ndarray
    target: np.ndarray
    traced: np.ndarray | None
    weights: np.ndarray | None = None


class Window:
    """Cuts `frames` consecutive frames from a random start out of a decoded clip.

    Of each frame every `subsample`-th row and column is kept, as the published code does. A share
    of `phases` of the windows has end-diastole or end-systole in its middle, as far as it can be.
    """

    def __init__(self, frames: int, subsample: int, phases: float = 0.0) -> None:
        self._frames = frames
        self._subsample = subsample
        self._phases = phases

    def __call__(
        self, clip: "Pixels", rng: np.random.Generator
    ) -> dict[str, Shaped[np.ndarray, "n ..."]]:
        """`video`, `target` and, where frames count differently, `frame_weights` of one window."""
        length = len(clip.frames)
        last_start = max(length - self._frames, 0)
        if clip.traced is None and self._phases and rng.random() < self._phases:
            start = min(max(_phase(clip.target, rng) - self._frames // 2, 0), last_start)
        elif clip.traced is None:
            start = int(rng.integers(0, last_start + 1))
        else:  # A window that has one of the traced frames.
            traced = int(rng.choice(np.flatnonzero(clip.traced)))
            first = min(max(traced - self._frames + 1, 0), last_start)
            start = int(rng.integers(first, min(traced, last_start) + 1))
        frames = np.arange(start, start + self._frames)
        take = np.minimum(frames, length - 1)
        every = self._subsample
        video, target = (pixels[take, ::every, ::every] for pixels in (clip.frames, clip.target))
        window = {"video": video[..., None], "target": target}
        if clip.traced is not None:
            # What continues a short clip is no second tracing.
            weights = clip.traced[take] & (frames < length)
            window["frame_weights"] = weights.astype(np.float32)
        elif clip.weights is not None:
            window["frame_weights"] = clip.weights[take].astype(np.float32)
        return window


def _phase(target: np.ndarray, rng: np.random.Generator) -> int:
    """The frame of the largest or of the smallest mask of the first structure, either as likely."""
    areas = target[..., 0].sum(axis=(1, 2), dtype=np.int64)
    return int(areas.argmax() if rng.random() < 0.5 else areas.argmin())


class Budget:
    """Bytes that may still be kept in memory."""

    def __init__(self, num_bytes: int) -> None:
        self._left = num_bytes
        self._lock = threading.Lock()

    def take(self, num_bytes: int) -> bool:
        """Takes them, or says that they are not left."""
        with self._lock:
            fits = num_bytes <= self._left
            self._left -= num_bytes if fits else 0
            return fits


class Decoded:
    """Frames and targets of clips, kept in memory after the first reading while they fit."""

    def __init__(
        self,
        *,
        clips: Clips,
        target: str,
        budget: Budget,
        structures: Structures = LV_ALONE,
        weigh: Weigh | None = None,
    ) -> None:
        self._clips, self._weigh = clips, weigh
        self._target, self._structures = target, structures
        self._budget = budget
        self._kept: dict[int, Pixels] = {}

    def __len__(self) -> int:
        return len(self._clips)

    def __getitem__(self, index: int) -> "Pixels":
        if index in self._kept:
            return self._kept[index]
        clip = self._clips[index]
        traced = None
        if self._target == "tracings":
            traced = np.zeros(len(clip.frames), bool)
            traced[clip.reference_frames] = True
        weights = None if self._weigh is None else self._weigh(clip)
        target = target_of(clip, self._target, self._structures)
        decoded = Pixels(clip.frames, target, traced, weights)
        if self._budget.take(decoded.frames.nbytes + decoded.target.nbytes):
            self._kept[index] = decoded
        return decoded


def target_of(
    clip: Clip, target: str, structures: Structures = LV_ALONE
) -> UInt8[np.ndarray, "t h w s"]:
    """What the student is to learn on a clip, 255 * probability.

    Args:
        clip: with a teacher's mask, or with a reference mask for every frame.
        target: "teacher", "reference", or "tracings" (black where there is none).
        structures: that are learnt.

    Raises:
        UserError: the clip has no such target.
    """
    if target == "teacher":
        if clip.teacher_mask is None:
            raise UserError(
                f"clip {clip.name} has no teacher's mask; run --stage=prepare on this data set"
            )
        whose = f"the teacher of clip {clip.name}"
        return pick_structures(clip.teacher_mask, clip.teacher_structures, structures, whose)
    if target == "tracings" and not len(clip.reference_frames):
        raise UserError(
            f"config.input.target='tracings', but clip {clip.name} has none; use 'teacher'"
        )
    if target == "reference" and len(clip.reference_frames) != len(clip.frames):
        raise UserError(
            f"config.input.target='reference' needs a mask for every frame, clip {clip.name} has "
            f"{len(clip.reference_frames)} of {len(clip.frames)}; use 'teacher'"
        )
    known, whose = clip.reference_structures, f"the reference of clip {clip.name}"
    reference = pick_structures(clip.reference_masks, known, structures, whose)
    masks = np.zeros((*clip.frames.shape, len(structures)), np.uint8)
    masks[clip.reference_frames] = reference.astype(np.uint8) * 255
    return masks
