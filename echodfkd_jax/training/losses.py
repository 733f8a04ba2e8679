"""What the student is told: losses of logits against soft masks, one value per clip."""

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


def soft_mask(logits: Float[Array, "b t h w 1"]) -> UInt8[Array, "b t h w 1"]:
    """Logits as a mask on disk: 255 * probability, rounded."""
    return jnp.round(255.0 * jax.nn.sigmoid(logits.astype(jnp.float32))).astype(jnp.uint8)
