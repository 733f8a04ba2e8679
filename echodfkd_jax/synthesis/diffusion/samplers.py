"""From noise to clips: one function per step, and the loop over them.

A sampler is a function of the state and a step's number. Noise of step i comes from `draw(i)`, so
that one key, folded with the step, decides everything that is drawn.

Sources: Ho et al., arXiv 2006.11239 (ancestral steps); Song et al., "Denoising diffusion implicit
models", arXiv 2010.02502; Karras et al., arXiv 2206.00364 (Heun's steps).
"""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Float64, Int, Key, PRNGKeyArray

from echodfkd_jax.synthesis.diffusion import edm
from echodfkd_jax.synthesis.diffusion.predictions import Denoise, State
from echodfkd_jax.synthesis.diffusion.schedules import Steps

# Standard normal noise, of the state's shape, for the step of a number.
Draw = Callable[[Int[Array, ""] | int], Array]


class Stepped(NamedTuple):
    """What a step gives.

    Attributes:
        state: after the step.
        clean: what it took for the clean state.
    """

    state: State
    clean: State


Sampler = Callable[[Array, Array], Stepped]


def noise_from(key: PRNGKeyArray, shape: tuple[int, ...]) -> Draw:
    """Noise of every step, from one key."""
    return lambda step: jax.random.normal(jax.random.fold_in(key, step), shape)


def noise_of_rows(keys: Key[Array, "b"], shape: tuple[int, ...]) -> Draw:
    """The same for rows with a key each: a row's noise does not depend on what is beside it.

    Args:
        keys: (b,).
        shape: of one row.
    """

    def draw(step: Int[Array, ""] | int) -> Float[Array, "b *shape"]:
        of_step = jax.vmap(lambda key: jax.random.fold_in(key, step))(keys)
        return jax.vmap(lambda key: jax.random.normal(key, shape))(of_step)

    return draw


def start_of(steps: Steps, draw: Draw) -> State:
    """What the first step begins with; none of its noise is drawn again by a step."""
    return steps.start * draw(jnp.asarray(steps.count))


def ancestral(denoise: Denoise, steps: Steps, draw: Draw) -> Sampler:
    """DDPM: the posterior's mean given the estimate, and noise of the posterior's variance.

    The variance is the smaller one of the paper's two ("fixed small"); the last step adds none.

    Args:
        denoise: see `predictions.denoiser`.
        steps: `schedules.leading` or `schedules.trailing`.
        draw: see `noise_from`.
    """
    beta, signal = _betas(steps), steps.signal / steps.next_signal
    of_clean = _constants(steps.next_signal * beta / steps.noise**2)
    of_state = _constants(signal * steps.next_noise**2 / steps.noise**2)
    deviation = _constants(np.sqrt(posterior_variance(steps)))
    times = _times(steps)

    def step(state: Array, number: Array) -> Stepped:
        clean = denoise(state, times[number]).clean
        mean = of_clean[number] * clean + of_state[number] * state
        return Stepped(mean + deviation[number] * draw(number), clean)

    return step


def posterior_variance(steps: Steps) -> Float64[np.ndarray, "n"]:
    """Of each step of `ancestral`, (n,); 0 for one that ends without noise."""
    return steps.next_noise**2 / steps.noise**2 * _betas(steps)


def deterministic(denoise: Denoise, steps: Steps) -> Sampler:
    """The estimate's clean state and noise, mixed anew at the next level.

    This is DDIM without noise for variance-preserving levels and Euler's step for EDM's and the
    linear flow's. The noise is that of the prediction even where the clean state was clipped.
    """
    signal, noise = _constants(steps.next_signal), _constants(steps.next_noise)
    times = _times(steps)

    def step(state: Array, number: Array) -> Stepped:
        estimate = denoise(state, times[number])
        mixed = signal[number] * estimate.clean + noise[number] * estimate.noise
        return Stepped(mixed, estimate.clean)

    return step


def heun(denoise: Denoise, steps: Steps, draw: Draw, churn: edm.Churn = edm.NO_CHURN) -> Sampler:
    """EDM's second-order steps; before each the level may be raised by fresh noise.

    Args:
        denoise: see `edm.edm_denoiser`.
        steps: `schedules.karras_sigmas`.
        draw: see `noise_from`.
        churn: how much noise is added.
    """
    sigmas = steps.noise
    raised = sigmas * (1 + edm.gammas(sigmas, churn))
    added = _constants(np.sqrt(raised**2 - sigmas**2) * churn.inflation)
    raised, lower = _constants(raised), _constants(steps.next_noise)

    def step(state: Array, number: Array) -> Stepped:
        high, low = raised[number], lower[number]
        state = state + added[number] * draw(number)
        estimate = denoise(state, high)
        euler = state + (low - high) * estimate.noise

        def correct() -> Array:
            slope = (estimate.noise + denoise(euler, low).noise) / 2
            return state + (low - high) * slope

        # Without noise there is no slope: the last step is Euler's.
        return Stepped(jax.lax.cond(low > 0, correct, lambda: euler), estimate.clean)

    return step


def run(sampler: Sampler, start: State, steps: Steps, *, first: int = 0) -> State:
    """The state after all steps.

    Args:
        sampler: one of the above, of the same steps.
        start: see `start_of`; where `first` is not 0, the state at that step's level.
        steps: as the sampler's.
        first: the step to begin with.
    """

    def advance(state: Array, number: Array) -> tuple[Array, None]:
        return sampler(state, number).state.astype(state.dtype), None

    return jax.lax.scan(advance, start, jnp.arange(first, steps.count))[0]


def run_and_keep(sampler: Sampler, start: State, steps: Steps, *, first: int = 0) -> Stepped:
    """What every step from `first` on gave, with the steps as the first axis; see `run`."""

    def advance(state: Array, number: Array) -> tuple[Array, Stepped]:
        stepped = sampler(state, number)
        return stepped.state.astype(state.dtype), stepped

    return jax.lax.scan(advance, start, jnp.arange(first, steps.count))[1]


def _betas(steps: Steps) -> Float64[np.ndarray, "n"]:
    """How much of the signal's square each step brings back: 1 - alpha of the papers."""
    return 1 - (steps.signal / steps.next_signal) ** 2


def _constants(values: np.ndarray) -> Array:
    return jnp.asarray(values, jnp.float32)


def _times(steps: Steps) -> Array:
    whole = np.issubdtype(steps.time.dtype, np.integer)
    return jnp.asarray(steps.time, jnp.int32 if whole else jnp.float32)
