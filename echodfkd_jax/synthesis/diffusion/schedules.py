"""Which noise levels a sampler visits; constants of a program, in float64 NumPy.

Sources: Ho et al., "Denoising diffusion probabilistic models", arXiv 2006.11239; Lin et al.,
"Common diffusion noise schedules and sample steps are flawed", arXiv 2305.08891; Karras et al.,
"Elucidating the design space of diffusion-based generative models", arXiv 2206.00364; Lipman et
al., "Flow matching for generative modeling", arXiv 2210.02747.
"""

from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float32, Float64, Int64

from echodfkd_jax.errors import UserError

# Of EchoNet-Synthetic and DiffEcho.
TRAIN_STEPS = 1000
FIRST_BETA, LAST_BETA = 1e-4, 0.02
# Of Free-Echo, and of the EDM paper.
SIGMA_MIN, SIGMA_MAX, RHO = 0.002, 80.0, 7.0


class Level(NamedTuple):
    """How much of each is in a noisy state: `signal * clean + noise * n`.

    Attributes:
        signal: factor of the clean one; a scalar, or one per row of the state.
        noise: standard deviation of the noise, likewise.
    """

    signal: Any
    noise: Any


class Steps(NamedTuple):
    """What a sampler does, step by step.

    Attributes:
        time: what the network is told: a timestep, sigma, or the flow's time.
        signal: factor of the clean state in the state before each step.
        noise: standard deviation of the noise in it.
        next_signal: the same of the state after each step.
        next_noise: likewise; the last one is 0.
        start: standard deviation of the noise that the first step begins with.
    """

    time: Int64[np.ndarray, "n"] | Float64[np.ndarray, "n"]
    signal: Float64[np.ndarray, "n"]
    noise: Float64[np.ndarray, "n"]
    next_signal: Float64[np.ndarray, "n"]
    next_noise: Float64[np.ndarray, "n"]
    start: float = 1.0

    @property
    def count(self) -> int:
        """How many there are."""
        return len(self.time)


def linear_alphas_cumprod(
    num_steps: int = TRAIN_STEPS, first: float = FIRST_BETA, last: float = LAST_BETA
) -> Float32[np.ndarray, "t"]:
    """Alpha-bar of every training timestep for variances that rise linearly.

    A running product in float32, as published: its rounding is part of the schedule.

    Args:
        num_steps: timesteps of training.
        first: variance added in the first of them.
        last: variance added in the last.
    """
    betas = np.linspace(first, last, num_steps, dtype=np.float64).astype(np.float32)
    return np.cumprod(np.float32(1) - betas, dtype=np.float32)


def zero_terminal_snr(alphas_cumprod: Float32[np.ndarray, "t"]) -> Float32[np.ndarray, "t"]:
    """Alpha-bar rescaled so that nothing is left of the signal at the last timestep.

    Sampling starts from pure noise, which a network trained with the published schedule never saw:
    0.6 % of the signal's amplitude was still there. Square roots are shifted to end at 0 and scaled
    to begin where they began.
    """
    roots = np.sqrt(alphas_cumprod.astype(np.float64))
    roots = (roots - roots[-1]) * (roots[0] / (roots[0] - roots[-1]))
    return (roots**2).astype(np.float32)


def leading(alphas_cumprod: Float32[np.ndarray, "t"], count: int) -> Steps:
    """Evenly spaced timesteps that end at 0, as published: with 64 of 1000, 945, 930, ..., 0.

    The last 54 timesteps are never visited, so that the start is taken for noisier than it is; see
    `trailing`.

    Raises:
        UserError: more steps than the schedule has, or none.
    """
    ratio = len(alphas_cumprod) // _checked(count, len(alphas_cumprod))
    return _steps(alphas_cumprod, np.arange(count)[::-1] * ratio)


def trailing(alphas_cumprod: Float32[np.ndarray, "t"], count: int) -> Steps:
    """Evenly spaced timesteps that begin at the last one, each going to the next one listed.

    Raises:
        UserError: more steps than the schedule has, or none.
    """
    num_steps = len(alphas_cumprod)
    spacing = num_steps / _checked(count, num_steps)
    return _steps(alphas_cumprod, np.round(num_steps - np.arange(count) * spacing).astype(int) - 1)


def karras_sigmas(
    count: int,
    *,
    sigma_min: float = SIGMA_MIN,
    sigma_max: float = SIGMA_MAX,
    rho: float = RHO,
) -> Steps:
    """EDM's noise levels, evenly spaced in sigma^(1/rho), then 0; the time is sigma.

    Raises:
        UserError: fewer than two steps.
    """
    if count < 2:
        raise UserError(f"{count} sampling steps: expected 2 or more")
    first, last = sigma_max ** (1 / rho), sigma_min ** (1 / rho)
    sigmas = (first + np.arange(count) / (count - 1) * (last - first)) ** rho
    noise = np.append(sigmas, 0.0)
    ones = np.ones(count)
    return Steps(sigmas, ones, noise[:-1], ones, noise[1:], start=sigma_max)


def linear_flow(count: int) -> Steps:
    """Straight lines from noise to clips: `(1 - t) * clean + t * n`, t from 1 to 0.

    Raises:
        UserError: no steps.
    """
    if count < 1:
        raise UserError(f"{count} sampling steps: expected 1 or more")
    times = np.linspace(1.0, 0.0, count + 1)
    return Steps(times[:-1], 1 - times[:-1], times[:-1], 1 - times[1:], times[1:])


def _steps(alphas_cumprod: Float32[np.ndarray, "t"], times: Int64[np.ndarray, "n"]) -> Steps:
    """From each timestep to the next one listed, and from the last to no noise at all."""
    alphas = np.append(alphas_cumprod[times], np.float32(1)).astype(np.float64)
    signal, noise = np.sqrt(alphas), np.sqrt(1 - alphas)
    return Steps(times, signal[:-1], noise[:-1], signal[1:], noise[1:])


def _checked(count: int, most: int) -> int:
    if not 1 <= count <= most:
        raise UserError(f"{count} sampling steps: expected 1 to {most}, the schedule's timesteps")
    return count
