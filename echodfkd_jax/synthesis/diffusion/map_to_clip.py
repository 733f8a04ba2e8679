"""A clip from a map of structures, by a network that was never trained for it (Free-Echo).

The map's pictures with noise are a state in the middle of the sampler's way; the steps that are
left make a clip of it. Their number decides between the map and what the network takes for a heart.
"""

from typing import Any

import jax.numpy as jnp
from jaxtyping import Array, Float

from echodfkd_jax.synthesis.diffusion import edm, injection, samplers
from echodfkd_jax.synthesis.diffusion.predictions import Denoise
from echodfkd_jax.synthesis.diffusion.samplers import Draw
from echodfkd_jax.synthesis.diffusion.schedules import Steps


def clip_of_pictures(
    denoise: Denoise,
    pictures: Float[Any, "*clip"],
    noise: Float[Any, "*clip"],
    steps: Steps,
    draw: Draw,
    *,
    first: int = injection.FIRST_STEP,
    churn: edm.Churn = edm.FREE_ECHO_CHURN,
    published: bool = False,
) -> Float[Array, "*clip"]:
    """Makes a clip, 0..1, out of rough pictures of its frames.

    Args:
        denoise: see `edm.edm_denoiser`; of clips in -1..1.
        pictures: 0..1, see `maps.picture` and `colouring`.
        noise: standard normal, see `carrying`.
        steps: `schedules.karras_sigmas`.
        draw: noise of every step, see `carrying`.
        first: the step that is begun with, from 0; later ones keep more of the pictures.
        churn: how much noise is added on the way.
        published: the pictures without the noise of their level, see `injection.inject`.

    Raises:
        UserError: there is no such step.
    """
    signal = 2 * jnp.asarray(pictures, jnp.float32) - 1
    start = injection.inject(signal, jnp.asarray(noise), steps, first, published=published)
    sampler = samplers.heun(denoise, steps, draw, churn)
    return (jnp.clip(samplers.run(sampler, start, steps, first=first), -1, 1) + 1) / 2
