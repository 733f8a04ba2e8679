"""What a learned generator's network is trained on: noise, target, and the mean of the error."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int, PRNGKeyArray

from echodfkd_jax.synthesis.diffusion import edm

# EchoNet-Synthetic's, for clips; 0 for single frames.
NOISE_OFFSET = 0.1


def offset_noise(
    key: PRNGKeyArray, shape: tuple[int, ...], offset: float = NOISE_OFFSET
) -> Float[Array, "..."]:
    """Noise with one more normal number for each row and channel, so that means are learnt too.

    Args:
        key: of both.
        shape: (b, ..., c).
        offset: standard deviation of the additional number.
    """
    noise_key, offset_key = jax.random.split(key)
    common = (shape[0], *(1,) * (len(shape) - 2), shape[-1])
    both = jax.random.normal(noise_key, shape), jax.random.normal(offset_key, common)
    return both[0] + offset * both[1]


def valid_frames(
    count: Int[Array, "b"], num_frames: int, *, published: bool = False
) -> Bool[Array, "b t"]:
    """Which frames are the clip's and not what fills the window.

    Args:
        count: of the clip's frames, by row.
        num_frames: of the window.
        published: one frame of the filling counts too, where there is any.
    """
    frames = jnp.arange(num_frames)
    return frames <= count[:, None] if published else frames < count[:, None]


def masked_mean(
    error: Float[Array, "b t *frame"], valid: Bool[Array, "b t"], *, published: bool = False
) -> Float[Array, ""]:
    """Mean of an error over the frames that count.

    Args:
        error: squared, of every element.
        valid: see `valid_frames`.
        published: the sum over them is divided by the number of all elements, so that clips with
            a filling count less.
    """
    of_frames = jnp.mean(error, axis=tuple(range(2, error.ndim)))
    divisor = valid.size if published else jnp.maximum(jnp.sum(valid), 1)
    return jnp.sum(jnp.where(valid, of_frames, 0)) / divisor


def edm_error(
    clean: Float[Array, "b *state"], wanted: Float[Array, "b *state"], sigma: Float[Array, "b"]
) -> Float[Array, "b *state"]:
    """Squared error of a denoised state, weighted so that all noise levels count alike."""
    weight = edm.preconditioning(sigma).weight
    return weight.reshape(-1, *(1,) * (wanted.ndim - 1)) * (clean - wanted) ** 2
