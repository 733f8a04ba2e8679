"""What is watched during training. The batch axis is kept: sums and counts are made by the step."""

import jax.numpy as jnp
from jaxtyping import Array, Float, UInt8


def dice_per_clip(
    predicted: UInt8[Array, "b t h w s"],
    target: UInt8[Array, "b t h w s"],
    frame_weights: Float[Array, "b t"] | None = None,
) -> Float[Array, "b"]:
    """Dice of two soft masks cut at probability one half, mean over the frames of each clip.

    Two empty masks agree: their Dice is 1. Frames count by their weights, where there are any;
    structures count alike.
    """
    predicted, target = predicted > 127, target > 127
    space = (2, 3)
    both = jnp.sum(predicted & target, axis=space, dtype=jnp.float32)
    either = jnp.sum(predicted, axis=space, dtype=jnp.float32) + jnp.sum(
        target, axis=space, dtype=jnp.float32
    )
    dice = jnp.where(either > 0, 2.0 * both / jnp.maximum(either, 1.0), 1.0)
    dice = jnp.mean(dice, axis=2)
    if frame_weights is None:
        return jnp.mean(dice, axis=1)
    total = jnp.sum(frame_weights, axis=1)
    return jnp.sum(frame_weights * dice, axis=1) / jnp.where(total > 0, total, 1.0)
