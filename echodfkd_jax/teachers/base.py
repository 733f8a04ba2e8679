"""What a teacher is: anything that gives every frame a soft mask of each structure it knows."""

from collections.abc import Callable
from typing import Protocol, runtime_checkable

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float32, UInt8

from echodfkd_jax.masks import LV_ALONE, Structures
from echodfkd_jax.types import Clip, SoftMasks


@runtime_checkable
class Teacher(Protocol):
    """A source of soft masks.

    It outlines the left ventricle, and more if it has an attribute `structures`, their names.
    One that can also be run on the device inside the training step has a method `apply_fn` besides,
    like `FrameTeacher`.

    Attributes:
        fingerprint: the name and a hash of the weights; two teachers with the same fingerprint
            give the same masks, so it stands in the metadata of every labelled data set.
    """

    fingerprint: str

    def label(self, clip: Clip) -> SoftMasks:
        """The soft masks (t, h, w, s) of a clip as they are stored: 255 * probability, rounded."""
        ...


class FrameTeacher:
    """A teacher that is a function of frames.

    Attributes:
        name: as in `load_teacher`.
        fingerprint: see `Teacher`.
    """

    name: str
    fingerprint: str

    @property
    def structures(self) -> Structures:
        """What it outlines."""
        return LV_ALONE

    def __call__(self, frames: UInt8[np.ndarray | Array, "n h w"]) -> Float32[Array, "n h w s"]:
        """Probabilities 0..1 of its structures for the grey frames of one clip."""
        raise NotImplementedError

    def apply_fn(self, frames: Float32[Array, "n h w"]) -> Float32[Array, "n h w s"]:
        """The same as a pure function that can be jitted into another, for frames 0..255.

        The frames are those of one clip in their order: a teacher may look at the neighbours.
        """
        raise NotImplementedError

    def clip_probabilities(self, clip: Clip) -> Float32[np.ndarray, "t h w s"]:
        """Probability of its structures in every pixel of a clip, in host memory."""
        return np.asarray(self(clip.frames))

    def label(self, clip: Clip) -> SoftMasks:
        """See `Teacher`."""
        return np.rint(255 * self.clip_probabilities(clip)).astype(np.uint8)


def structures_of(teacher: Teacher) -> Structures:
    """What a teacher outlines: the left ventricle alone unless it says more."""
    return tuple(getattr(teacher, "structures", LV_ALONE))


def predict_in_batches(
    apply_fn: Callable[[Float32[Array, "n h w"]], Float32[Array, "n h w s"]],
    frames: UInt8[np.ndarray | Array, "n h w"],
    batch_size: int,
    *,
    num_structures: int = 1,
) -> Float32[Array, "n h w s"]:
    """Runs a compiled function over any number of frames with one compilation per frame size.

    Args:
        apply_fn: jitted; frames 0..255 to probabilities, each frame by itself.
        frames: grey frames; none give none.
        batch_size: frames per call; the last batch is padded with black.
        num_structures: that it gives.

    Returns:
        One probability map per frame and structure.
    """
    num_frames, height, width = frames.shape
    parts = []
    for start in range(0, num_frames, batch_size):
        batch = jnp.asarray(frames[start : start + batch_size], jnp.float32)
        padding = batch_size - batch.shape[0]
        parts.append(apply_fn(jnp.pad(batch, ((0, padding), (0, 0), (0, 0)))))
    if not parts:
        return jnp.zeros((0, height, width, num_structures), jnp.float32)
    return jax.lax.slice_in_dim(jnp.concatenate(parts), 0, num_frames)
