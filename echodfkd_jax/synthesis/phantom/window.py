"""How well a heart is seen, and how darkly: draws that tissue and scanner go by together."""

import enum

import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from echodfkd_jax.synthesis.phantom.draws import Draws


class Grade(enum.IntEnum):
    """Of the acoustic window, between the ribs, through which a heart is filmed."""

    CLEAR = 0
    FAIR = 1
    POOR = 2


# Drawn while tracing, or known.
Window = Int[Array, ""] | Grade


def sample_window(k: Draws, poor_windows: Float[Array, ""] | float) -> Window:
    """Draws a grade: poor with a probability of `poor_windows`, fair with the same, else clear."""
    draw = k.uniform(0.0, 1.0)
    not_clear = jnp.where(draw < poor_windows, Grade.POOR, Grade.FAIR)
    return jnp.where(draw < 2.0 * poor_windows, not_clear, Grade.CLEAR)


def by_window(
    window: Window,
    *,
    clear: Array | float,
    fair: Array | float,
    poor: Array | float,
) -> Array:
    """The number that belongs to the window's grade."""
    return jnp.stack([jnp.asarray(each) for each in (clear, fair, poor)])[window]


def sample_darkness(k: Draws) -> Float[Array, ""]:
    """How dark a picture is: 0, walls, valves and fat shine on grey, to 1, the septum on black.

    One in six is as bright as can be and one in six as dark; the others lie between.
    """
    return jnp.clip(k.uniform(-0.25, 1.25), 0.0, 1.0)


def by_darkness(
    darkness: Float[Array, ""], bright: Array | float, dark: Array | float
) -> Float[Array, "..."]:
    """The number that lies as far between those of a bright picture and of a dark one."""
    return bright + darkness * (dark - jnp.asarray(bright))
