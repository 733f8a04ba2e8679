"""What is watched during training. The batch axis is kept: sums and counts are made by the step."""

import jax.numpy as jnp
from jaxtyping import Array, Float, UInt8


def dice_per_clip(
    predicted: UInt8[Array, "b t h w 1"], target: UInt8[Array, "b t h w 1"]
) -> Float[Array, "b"]:
    """Dice of two soft masks cut at probability one half, mean over the frames of each clip.

    Two empty masks agree: their Dice is 1.
    """
    predicted, target = predicted > 127, target > 127
    space = (2, 3, 4)
    both = jnp.sum(predicted & target, axis=space, dtype=jnp.float32)
    either = jnp.sum(predicted, axis=space, dtype=jnp.float32) + jnp.sum(
        target, axis=space, dtype=jnp.float32
    )
    dice = jnp.where(either > 0, 2.0 * both / jnp.maximum(either, 1.0), 1.0)
    return jnp.mean(dice, axis=1)
