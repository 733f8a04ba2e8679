"""Running averages of weights, with which generators sample."""

from typing import TypeVar

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

# EchoNet-Synthetic's largest decay.
MOST_DECAY = 0.9999
# Free-Echo's.
_DECAY, _EVERY, _AFTER = 0.995, 10, 2000

_Weights = TypeVar("_Weights")


def warming_decay(updates: Int[Array, "*n"] | int, most: float = MOST_DECAY) -> Float[Array, "*n"]:
    """How much of the average is kept; the first update copies the weights.

    Args:
        updates: number of this one, from 1.
        most: that it rises to.
    """
    before = jnp.asarray(updates, jnp.float32) - 1
    return jnp.where(before > 0, jnp.minimum(most, (1 + before) / (10 + before)), 0.0)


def delayed_decay(step: Int[Array, "*n"] | int) -> Float[Array, "*n"]:
    """Free-Echo's: every tenth step counts, and until step 2000 it copies the weights.

    Args:
        step: of training, from 1.
    """
    step = jnp.asarray(step)
    return jnp.where(step % _EVERY != 0, 1.0, jnp.where(step <= _AFTER, 0.0, _DECAY))


def average(averaged: _Weights, weights: _Weights, decay: Float[Array, ""] | float) -> _Weights:
    """The average after an update: `decay` of the old one and the rest of the weights."""
    return jax.tree.map(lambda old, new: new + decay * (old - new), averaged, weights)
