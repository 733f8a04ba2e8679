"""Segmentation losses of logits against soft masks, one value per clip, and their names."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float, UInt8


def binary_cross_entropy(
    logits: Float[Array, "b t h w 1"], target: UInt8[Array, "b t h w 1"]
) -> Float[Array, "b"]:
    """Binary cross-entropy against a soft mask (Petit et al., arXiv 2409.07566).

    Args:
        logits: of the student.
        target: 255 * probability, rounded, as it lies on disk.

    Returns:
        Mean over frames and pixels, in nats, float32 whatever the logits' precision.
    """
    probability = target.astype(jnp.float32) / 255.0
    loss = optax.sigmoid_binary_cross_entropy(logits.astype(jnp.float32), probability)
    return jnp.mean(loss, axis=(1, 2, 3, 4))


def soft_dice(
    logits: Float[Array, "b t h w 1"], target: UInt8[Array, "b t h w 1"]
) -> Float[Array, "b"]:
    """One minus the Dice of probabilities (Milletari et al., arXiv 1606.04797), frame by frame.

    Small hearts and end-systole count as much as large ones, unlike in a mean over pixels.

    Args:
        logits: of the student.
        target: 255 * probability.

    Returns:
        Mean over frames; a frame without a mask in either is 0.
    """
    predicted = jax.nn.sigmoid(logits.astype(jnp.float32))
    wanted = target.astype(jnp.float32) / 255.0
    # Squares, so that the Dice of two equal soft masks is 1.
    both = jnp.sum(predicted * wanted, axis=(2, 3, 4))
    size = jnp.sum(predicted**2 + wanted**2, axis=(2, 3, 4))
    return jnp.mean(1.0 - (2.0 * both + 1.0) / (size + 1.0), axis=1)


def cross_entropy_and_dice(
    logits: Float[Array, "b t h w 1"], target: UInt8[Array, "b t h w 1"]
) -> Float[Array, "b"]:
    """The sum of both: sharp outlines, and end-systole as good as end-diastole."""
    return binary_cross_entropy(logits, target) + soft_dice(logits, target)


# By the names that `config.train.loss` takes.
LOSSES: dict[str, Callable[..., Array]] = {
    "bce": binary_cross_entropy,
    "dice": soft_dice,
    "bce_dice": cross_entropy_and_dice,
}


def soft_mask(logits: Float[Array, "b t h w 1"]) -> UInt8[Array, "b t h w 1"]:
    """Logits as a mask on disk: 255 * probability, rounded."""
    return jnp.round(255.0 * jax.nn.sigmoid(logits.astype(jnp.float32))).astype(jnp.uint8)
