"""What a teacher is: anything that gives every frame a soft mask of the left ventricle."""

from collections.abc import Callable
from typing import Protocol, runtime_checkable

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float32, UInt8


@runtime_checkable
class Teacher(Protocol):
    """A source of soft masks.

    Attributes:
        name: as in `load_teacher`.
        fingerprint: the name and a hash of the weights; two teachers with the same fingerprint
            give the same masks, so it stands in the metadata of every labelled data set.
    """

    name: str
    fingerprint: str

    def __call__(self, frames: UInt8[np.ndarray | Array, "n h w"]) -> Float32[Array, "n h w"]:
        """Probabilities 0..1 of the left ventricle for the grey frames of one clip."""
        ...

    def apply_fn(self, frames: Float32[Array, "n h w"]) -> Float32[Array, "n h w"]:
        """The same as a pure function that can be jitted into another, for frames 0..255.

        The frames are those of one clip in their order: a teacher may look at the neighbours.
        """
        ...


def predict_in_batches(
    apply_fn: Callable[[Float32[Array, "n h w"]], Float32[Array, "n h w"]],
    frames: UInt8[np.ndarray | Array, "n h w"],
    batch_size: int,
) -> Float32[Array, "n h w"]:
    """Runs a compiled function over any number of frames with one compilation per frame size.

    Args:
        apply_fn: jitted; frames 0..255 to probabilities, each frame by itself.
        frames: grey frames; none give none.
        batch_size: frames per call; the last batch is padded with black.

    Returns:
        One probability map per frame.
    """
    num_frames, height, width = frames.shape
    parts = []
    for start in range(0, num_frames, batch_size):
        batch = jnp.asarray(frames[start : start + batch_size], jnp.float32)
        padding = batch_size - batch.shape[0]
        parts.append(apply_fn(jnp.pad(batch, ((0, padding), (0, 0), (0, 0)))))
    if not parts:
        return jnp.zeros((0, height, width), jnp.float32)
    return jax.lax.slice_in_dim(jnp.concatenate(parts), 0, num_frames)
