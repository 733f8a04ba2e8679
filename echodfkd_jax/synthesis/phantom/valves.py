"""Mitral and tricuspid leaflets: thin bright lines that swing from the annulus."""

from typing import NamedTuple

import jax.numpy as jnp
from jaxtyping import Array, Float

from echodfkd_jax.synthesis.phantom.anatomy import Anatomy
from echodfkd_jax.synthesis.phantom.draws import Draws
from echodfkd_jax.synthesis.phantom.motion import Motion, base_position, half_widths
from echodfkd_jax.synthesis.phantom.window import Window, by_darkness, by_window


class Valves(NamedTuple):
    """Leaflets in the order mitral anterior, mitral posterior, tricuspid septal, tricuspid free.

    Attributes:
        reach: length over the annulus' half-width.
        level: echo level in dB.
        thickness: pixels.
        tent: angle of the closed leaflet towards the ventricle (negative: bows into the atrium).
        swing: angle gained at full opening, radians.
        fading: dB that an open leaflet loses: seen along its length it reflects little.
        tip: dB by which the free edge outshines the body.
        rv_offset: tricuspid annulus: half-width and displacement towards the apex, pixels.
    """

    reach: Float[Array, "4"]
    level: Float[Array, "4"]
    thickness: Float[Array, "4"]
    tent: Float[Array, "4"]
    swing: Float[Array, "4"]
    fading: Float[Array, "4"]
    tip: Float[Array, "4"]
    rv_offset: Float[Array, "2"]


def sample_valves(k: Draws, window: Window, darkness: Float[Array, ""]) -> Valves:
    """Draws leaflets: thick and bright, or through a poor window down to barely visible.

    In dark pictures they are thin and dim.

    Closed leaflets are what tells the ventricle from the atrium: where nothing else is hidden, they
    are not.
    """
    base = jnp.asarray([1.15, 0.85, 0.9, 0.95], jnp.float32)
    z = k.normal(0.0, 1.0, -3.2, 3.2)
    seen = jnp.clip(-4.0 + 4.0 * z, -12.0, 4.0)
    hidden = jnp.clip(-9.0 + 7.0 * z, -32.0, 3.0)
    level = by_window(window, clear=seen, fair=seen, poor=hidden)
    level = level - by_darkness(darkness, 0.0, 6.0)
    tricuspid = jnp.asarray([0.0, 0.0, -5.0, -5.0], jnp.float32)
    return Valves(
        reach=base * k.uniform(0.8, 1.15, (4,)),
        level=level + tricuspid + k.normal(0.0, 3.0, -8.0, 8.0, (4,)) - k.uniform(2.0, 12.0),
        thickness=k.uniform(0.5, 1.5, (4,)) * by_darkness(darkness, 1.0, 0.65),
        tent=k.normal(0.06, 0.16, -0.25, 0.5, (4,)),
        swing=k.uniform(0.6, 1.35, (4,)),
        fading=k.uniform(0.0, 28.0, (4,)),
        tip=k.uniform(0.0, 1.0, (4,)) * by_window(window, clear=7.0, fair=7.0, poor=14.0),
        rv_offset=jnp.stack([k.uniform(5.0, 14.0), k.uniform(-1.0, 5.0)]),
    )


def leaflet_level(
    valves: Valves,
    anatomy: Anatomy,
    motion: Motion,
    u: Float[Array, "*n"],
    v: Float[Array, "*n"],
) -> Float[Array, "*n"]:
    """Echo level in dB of the leaflets in one frame, very low away from them."""
    base = base_position(anatomy, motion)
    ends, _ = half_widths(
        anatomy, motion, jnp.ones(2, jnp.float32), jnp.asarray([0.0, 1.0], jnp.float32)
    )
    rv_half, rv_up = valves.rv_offset[0], valves.rv_offset[1]
    crux = -ends[0] - anatomy.thickness[0]
    hinge_u = jnp.stack([-ends[0], ends[1], crux, crux - 2.0 * rv_half])
    # Readers draw the base on the ventricle's side of the closed leaflets.
    hinge_v = (
        base + 1.0 + anatomy.base_tilt * hinge_u - jnp.asarray([0, 0, 1, 1], jnp.float32) * rv_up
    )
    inward = jnp.asarray([1.0, -1.0, -1.0, 1.0], jnp.float32)
    half = jnp.stack([*([0.5 * (ends[0] + ends[1])] * 2), rv_half, rv_half])
    total = jnp.full_like(u, -120.0)
    for i in range(4):
        angle = valves.tent[i] + valves.swing[i] * motion.opening
        reach = valves.reach[i] * half[i]
        along_u, along_v = inward[i] * jnp.cos(angle), -jnp.sin(angle)
        du, dv = u - hinge_u[i], v - hinge_v[i]
        position = jnp.clip((du * along_u + dv * along_v) / reach, 0.0, 1.0)
        # Leaflets belly: bent by a tenth of their length, towards the atrium when closed.
        belly = 0.12 * reach * 4.0 * position * (1.0 - position) * (1.0 - 2.0 * motion.opening)
        off_u = du - position * reach * along_u
        off_v = dv - position * reach * along_v - belly
        d2 = (off_u**2 + off_v**2) / valves.thickness[i] ** 2
        body = valves.level[i] - valves.fading[i] * motion.opening * (1.0 - position**3)
        total = jnp.maximum(total, body + valves.tip[i] * (position**6 - 1.0) - 3.0 * d2)
    return jnp.maximum(total, -120.0)
