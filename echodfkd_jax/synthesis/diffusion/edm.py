"""EDM: preconditioning, noise levels of training, and the churn of its sampler.

Source: Karras et al., arXiv 2206.00364; the numbers are Free-Echo's.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Float64, PRNGKeyArray

from echodfkd_jax.synthesis.diffusion.predictions import Denoise, Estimate, Network

SIGMA_DATA = 0.5
# Mean and standard deviation of ln(sigma) in training.
LOG_SIGMA_MEAN, LOG_SIGMA_STD = -1.2, 1.2


class Preconditioning(NamedTuple):
    """Factors at a noise level: `clean = skip * state + out * network(in_ * state, noise)`.

    Attributes:
        skip: of the state.
        out: of what the network gives.
        in_: of what the network sees.
        noise: what the network is told of the level, ln(sigma) / 4.
        weight: of the squared error of `clean` in the loss.
    """

    skip: Float[Array, "*levels"]
    out: Float[Array, "*levels"]
    in_: Float[Array, "*levels"]
    noise: Float[Array, "*levels"]
    weight: Float[Array, "*levels"]


class Churn(NamedTuple):
    """How much noise the sampler adds before each step.

    Attributes:
        amount: shared out evenly over the steps; 0: none.
        least_sigma: at lower levels none is added.
        most_sigma: at higher levels none is added.
        inflation: factor of the added noise's standard deviation.
    """

    amount: float = 80.0
    least_sigma: float = 0.05
    most_sigma: float = 50.0
    inflation: float = 1.003


FREE_ECHO_CHURN = Churn()
NO_CHURN = Churn(amount=0.0)


def preconditioning(sigma: Any, sigma_data: float = SIGMA_DATA) -> Preconditioning:
    """The factors at noise levels above 0."""
    sigma = jnp.asarray(sigma)
    both = sigma**2 + sigma_data**2
    return Preconditioning(
        skip=sigma_data**2 / both,
        out=sigma * sigma_data / jnp.sqrt(both),
        in_=1 / jnp.sqrt(both),
        noise=jnp.log(sigma) / 4,
        weight=both / (sigma * sigma_data) ** 2,
    )


def edm_denoiser(network: Network, sigma_data: float = SIGMA_DATA) -> Denoise:
    """A network as what samplers ask; it sees scaled states, and ln(sigma) / 4 as the time."""

    def denoise(state: Array, sigma: Array) -> Estimate:
        factors = preconditioning(sigma, sigma_data)
        raw = network(_column(factors.in_, state) * state, factors.noise)
        clean = _column(factors.skip, state) * state + _column(factors.out, state) * raw
        return Estimate(clean, (state - clean) / _column(sigma, state))

    return denoise


def draw_sigmas(key: PRNGKeyArray, count: int) -> Float[Array, "count"]:
    """Noise levels of training, one per row."""
    return jnp.exp(LOG_SIGMA_MEAN + LOG_SIGMA_STD * jax.random.normal(key, (count,)))


def gammas(sigmas: Float64[np.ndarray, "n"], churn: Churn) -> Float64[np.ndarray, "n"]:
    """By how much each level is raised before its step, as a fraction of it."""
    gamma = min(churn.amount / len(sigmas), np.sqrt(2.0) - 1)
    return np.where((sigmas >= churn.least_sigma) & (sigmas <= churn.most_sigma), gamma, 0.0)


def _column(factor: Array, state: Array) -> Array:
    return (
        factor.reshape(*factor.shape, *(1,) * (state.ndim - factor.ndim))
        if factor.ndim
        else (factor)
    )
