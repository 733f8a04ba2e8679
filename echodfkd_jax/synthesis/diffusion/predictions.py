"""What a network predicts of a noisy state, and what is known of the state then.

Sources: Ho et al., arXiv 2006.11239 (the noise); Salimans and Ho, arXiv 2202.00512 (v); Lipman et
al., arXiv 2210.02747 (the flow's velocity); Ho and Salimans, arXiv 2207.12598 (guidance).
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, PRNGKeyArray, Shaped

from echodfkd_jax.errors import UserError
from echodfkd_jax.synthesis.diffusion.schedules import Level

# What a network may predict: the noise, v = signal * n - noise * clean, or n - clean.
EPSILON, V, FLOW = "epsilon", "v", "flow"
KINDS = (EPSILON, V, FLOW)

State = Float[Array, "*state"]
# A scalar, or one number per row of the state.
Time = Shaped[Array, "*rows"]
# (state, time) -> prediction.
Network = Callable[[Array, Array], Array]


class Estimate(NamedTuple):
    """What a noisy state is made of, as far as a network can tell.

    Attributes:
        clean: shape of the state.
        noise: shape of the state; where `clean` was clipped, it is the one from before.
    """

    clean: State
    noise: State


# (state, time) -> estimate.
Denoise = Callable[[Array, Array], Estimate]


def mix(clean: State, noise: State, level: Level) -> State:
    """The noisy state at a level; one level, or one for each row."""
    signal, deviation = _columns(level, clean)
    return signal * clean + deviation * noise


def target_of(kind: str, clean: State, noise: State, level: Level) -> State:
    """What a network of a kind is to predict.

    Raises:
        UserError: an unknown kind.
    """
    if kind == EPSILON:
        return noise
    if kind == V:
        signal, deviation = _columns(level, clean)
        return signal * noise - deviation * clean
    _check_flow(kind)
    return noise - clean


def estimate_of(
    kind: str, prediction: State, state: State, level: Level, *, clip: float | None = None
) -> Estimate:
    """Clean state and noise from a prediction.

    Args:
        kind: one of `KINDS`; "v" wants levels with signal^2 + noise^2 = 1, "flow" such with
            signal + noise = 1.
        prediction: of the network.
        state: that it saw.
        level: of the state.
        clip: the clean state is clipped to +-clip; None: as it is.

    Raises:
        UserError: an unknown kind.
    """
    signal, deviation = _columns(level, state)
    if kind == EPSILON:
        clean, noise = (state - deviation * prediction) / signal, prediction
    elif kind == V:
        clean = signal * state - deviation * prediction
        noise = signal * prediction + deviation * state
    else:
        _check_flow(kind)
        clean, noise = state - deviation * prediction, state + signal * prediction
    return Estimate(clean if clip is None else jnp.clip(clean, -clip, clip), noise)


def denoiser(
    network: Network,
    kind: str,
    level_at_time: Callable[[Array], Level],
    *,
    clip: float | None = None,
) -> Denoise:
    """A network as what samplers ask.

    Args:
        network: its condition is within it.
        kind: what it predicts.
        level_at_time: the level of a time; see `variance_preserving` and `straight`.
        clip: see `estimate_of`.
    """

    def denoise(state: Array, time: Array) -> Estimate:
        prediction = network(state, time)
        return estimate_of(kind, prediction, state, level_at_time(time), clip=clip)

    return denoise


def at_sigmas(
    network: Network, kind: str, alphas_cumprod: Any, *, clip: float | None = None
) -> Denoise:
    """A network of a DDPM schedule as EDM's samplers ask it: at sigmas, of states `clean + noise`.

    The state is scaled to the schedule's level of the same ratio of noise to signal, whose time may
    lie between two timesteps. Levels beyond the schedule's have its first or last time.

    Args:
        network: as in `denoiser`; takes times that are no whole numbers.
        kind: "epsilon" or "v".
        alphas_cumprod: the schedule that the network was trained with.
        clip: see `estimate_of`.
    """
    alphas = np.asarray(alphas_cumprod, np.float64)
    alphas = alphas[alphas > 0]  # Pure noise has no sigma.
    known = jnp.asarray(0.5 * np.log((1 - alphas) / alphas), jnp.float32)

    def denoise(state: Array, sigma: Array) -> Estimate:
        time = jnp.interp(jnp.log(sigma), known, jnp.arange(len(known), dtype=jnp.float32))
        signal = 1 / jnp.sqrt(1 + jnp.square(sigma))
        level = Level(signal, signal * sigma)
        scaled = state * _columns(level, state)[0]
        clean = estimate_of(kind, network(scaled, time), scaled, level, clip=clip).clean
        return Estimate(clean, (state - clean) / _columns(Level(sigma, sigma), state)[0])

    return denoise


def variance_preserving(alphas_cumprod: Any) -> Callable[[Array], Level]:
    """Levels of integer timesteps of a DDPM schedule."""
    table = jnp.asarray(alphas_cumprod, jnp.float32)

    def level_at_time(time: Array) -> Level:
        alphas = table[time]
        return Level(jnp.sqrt(alphas), jnp.sqrt(1 - alphas))

    return level_at_time


def straight(time: Array) -> Level:
    """Levels of a linear flow's times, 0 to 1."""
    return Level(1 - time, time)


def guided(conditioned: Network, unconditioned: Network, scale: float) -> Network:
    """Classifier-free guidance: what the condition changes is exaggerated.

    Args:
        conditioned: with the condition.
        unconditioned: the same network with the condition that stood for none in training, see
            `drop_conditions`; one trained without that has no such condition.
        scale: 1 gives `conditioned`, 0 `unconditioned`.
    """

    def network(state: Array, time: Array) -> Array:
        without = unconditioned(state, time)
        return without + scale * (conditioned(state, time) - without)

    return network


def drop_conditions(
    key: PRNGKeyArray, condition: Float[Array, "b *c"], none: Any, probability: float
) -> tuple[Float[Array, "b *c"], Bool[Array, "b"]]:
    """Replaces the condition of some rows by the one that stands for none.

    Args:
        key: of the draw.
        condition: one per row.
        none: broadcast to a condition.
        probability: of a row's being replaced.

    Returns:
        The conditions, and which rows were replaced.
    """
    dropped = jax.random.bernoulli(key, probability, (len(condition),))
    rows = dropped.reshape(-1, *(1,) * (condition.ndim - 1))
    return jnp.where(rows, jnp.asarray(none, condition.dtype), condition), dropped


def _columns(level: Level, state: Array) -> tuple[Array, Array]:
    """Both parts in the state's precision, with axes for what a row consists of."""

    def column(part: Any) -> Array:
        part = jnp.asarray(part, state.dtype)
        return part.reshape(*part.shape, *(1,) * (state.ndim - part.ndim)) if part.ndim else part

    return column(level.signal), column(level.noise)


def _check_flow(kind: str) -> None:
    if kind != FLOW:
        raise UserError(f"a network that predicts {kind!r}: expected one of {', '.join(KINDS)}")
