"""Echo levels in dB, and what they are of the amplitude."""

import math

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

# What multiplies the amplitude by e, in dB.
NEPER = 20.0 / math.log(10.0)


def amplitude(level: Float[Array, "*n"]) -> Float[Array, "*n"]:
    """The factor of the amplitude that a level means."""
    return jnp.exp(level / NEPER)


def added(*levels: Float[Array, "..."]) -> Float[Array, "..."]:
    """The level of amplitudes added up; shapes broadcast. About the largest of the levels."""
    return NEPER * jax.nn.logsumexp(jnp.stack(jnp.broadcast_arrays(*levels)) / NEPER, axis=0)
