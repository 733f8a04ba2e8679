"""The left ventricle at end-diastole: random sizes and shapes in an apical four-chamber view.

Heart coordinates, in pixels: v runs from the endocardial apex (0) along the long axis to the mitral
plane (length), u to the right of the axis (lateral wall; the septum is at negative u, as displayed
by most laboratories). s = v / length. Sides are indexed 0 (septal, left) and 1 (lateral, right).

The outline is where the blood ends, which is what readers trace. The wall's echo begins a little
outside of it: `Anatomy.gap` lies between.
"""

from typing import NamedTuple

import jax.numpy as jnp
from jaxtyping import Array, Float

from echodfkd_jax.synthesis.phantom.draws import Draws
from echodfkd_jax.synthesis.phantom.window import Window, by_window

# The reference map covers this window of heart coordinates (pixels) with this many cells a side:
# cells of 0.7 px are finer than the sound beam, so speckle is fully developed.
MAP_SIZE = 232
U_MIN, V_MIN, MAP_EXTENT = -82.0, -34.0, 164.0


class Anatomy(NamedTuple):
    """Sizes in pixels; pairs are (septal, lateral)."""

    length: Float[Array, ""]
    half_width: Float[Array, "2"]
    widest: Float[Array, "2"]  # s at which the ventricle is widest
    bluntness: Float[Array, "2"]  # exponent of the apical cap: small is blunt
    base_ratio: Float[Array, "2"]  # width at the mitral plane over greatest width
    ripple: Float[Array, "2"]  # irregularity of the endocardium, share of the width
    ripple_phase: Float[Array, "2"]
    gap: Float[Array, "2"]  # between the outline and the wall's first echoes
    wall: Float[Array, "2"]  # thickness of the muscle
    apex_wall: Float[Array, ""]  # thickness at the apex, gap included
    trabecular: Float[Array, "2"]  # thickness of the trabeculated layer inside the outline
    apical_trabeculae: Float[Array, ""]  # reach of that layer from the apex, share of the length
    bend: Float[Array, ""]  # bow of the long axis, pixels
    base_tilt: Float[Array, ""]  # slope of the mitral plane
    rv_depth: Float[Array, ""]  # greatest width of the right ventricle
    rv_top: Float[Array, ""]  # s at which the right ventricle begins

    @property
    def thickness(self) -> Float[Array, "2"]:
        """From the outline to the epicardium."""
        return self.gap + self.wall


def sample_anatomy(k: Draws, window: Window) -> Anatomy:
    """Draws a heart: from small and thick-walled to dilated, straight to strongly bowed.

    One in eight has a right ventricle under load: large, reaching up to the apex, beside a small
    left one. The worse the window, the more of the trabeculated layer looks solid.
    """
    thick = by_window(window, clear=0.1, fair=0.5, poor=1.0)
    loaded = k.chance(0.12)
    length = k.normal(54.0, 10.0, 26.0, 80.0)
    length = jnp.where(loaded, jnp.maximum(0.72 * length, 25.0), length)
    aspect = k.normal(0.32, 0.065, 0.18, 0.51)
    skew = k.normal(0.0, 0.10, -0.25, 0.25)
    hypertrophy = jnp.exp(k.normal(0.0, 0.28, -0.6, 0.75))
    return Anatomy(
        length=length,
        half_width=length * aspect * jnp.stack([1.0 - skew, 1.0 + skew]),
        widest=k.normal(0.62, 0.12, 0.36, 0.92, (2,)),
        bluntness=k.normal(0.50, 0.10, 0.30, 0.80, (2,)),
        base_ratio=k.normal(0.86, 0.10, 0.58, 1.0, (2,)),
        ripple=jnp.abs(k.normal(0.0, 0.04, -0.10, 0.10, (2,))),
        ripple_phase=k.uniform(0.0, 2 * jnp.pi, (2,)),
        gap=k.normal(1.0, 0.2, 0.4, 1.8, (2,)),
        wall=jnp.asarray([5.5, 8.0], jnp.float32)
        * hypertrophy
        * jnp.exp(k.normal(0.0, 0.18, -0.5, 0.5, (2,))),
        apex_wall=k.uniform(4.0, 14.0),
        trabecular=0.3
        + k.uniform(0.0, 1.0, (2,)) ** 1.5 * thick * jnp.asarray([2.0, 3.5], jnp.float32),
        apical_trabeculae=0.01 + 0.16 * thick * k.uniform(0.0, 1.0) ** 1.3,
        bend=k.normal(0.0, 2.0, -5.0, 5.0),
        base_tilt=k.normal(0.0, 0.10, -0.28, 0.28),
        rv_depth=jnp.where(loaded, k.uniform(22.0, 48.0), k.uniform(6.0, 32.0)),
        rv_top=jnp.where(loaded, k.uniform(-0.25, 0.25), k.uniform(0.0, 0.55)),
    )


def per_side(pair: Float[Array, "2"], side: Float[Array, "*n"]) -> Float[Array, "*n"]:
    """The septal number where `side` is 0, the lateral one where it is 1."""
    return pair[0] + (pair[1] - pair[0]) * side


def lateral(u: Float[Array, "*n"]) -> Float[Array, "*n"]:
    """The side that a point lies on: 0 septal, 1 lateral."""
    return (u > 0).astype(jnp.float32)


def cavity_profile(
    anatomy: Anatomy, s: Float[Array, "*n"], side: Float[Array, "*n"]
) -> Float[Array, "*n"]:
    """Half-width of the cavity at end-diastole over its greatest, at s (clipped to 0..1).

    Args:
        anatomy: the ventricle.
        s: position along the axis, 0 apex, 1 base.
        side: 0 septal, 1 lateral, per element.
    """
    s = jnp.clip(s, 0.0, 1.0)
    widest = per_side(anatomy.widest, side)
    cap = jnp.clip(s / widest, 0.0, 1.0)
    round_apex = jnp.exp(per_side(anatomy.bluntness, side) * jnp.log(1e-6 + 1.0 - (1.0 - cap) ** 2))
    below = jnp.clip((s - widest) / (1.0 - widest), 0.0, 1.0)
    taper = 1.0 - (1.0 - per_side(anatomy.base_ratio, side)) * below**2
    ripple = per_side(anatomy.ripple, side) * jnp.cos(
        9.0 * s + per_side(anatomy.ripple_phase, side)
    )
    return round_apex * taper * (1.0 + ripple)


class Place(NamedTuple):
    """Where the cells of the reference map lie; (n, n) each.

    Attributes:
        u: to the right of the long axis.
        v: along it, from the apex.
        s: v over the length, not clipped.
        side: 0 septal, 1 lateral.
        outside: distance from the outline across the long axis, above the apex along it; negative
            in the cavity.
        thickness: of the wall in that direction, gap included.
        gap: there.
        below: distance from the mitral plane; negative above it.
    """

    u: Float[Array, "n n"]
    v: Float[Array, "n n"]
    s: Float[Array, "n n"]
    side: Float[Array, "n n"]
    outside: Float[Array, "n n"]
    thickness: Float[Array, "n n"]
    gap: Float[Array, "n n"]
    below: Float[Array, "n n"]


def places(anatomy: Anatomy) -> Place:
    """The reference map's cells, measured from the ventricle at end-diastole."""
    step = MAP_EXTENT / MAP_SIZE
    line = (jnp.arange(MAP_SIZE, dtype=jnp.float32) + 0.5) * step
    v, u = jnp.meshgrid(V_MIN + line, U_MIN + line, indexing="ij")
    side = lateral(u)
    s = v / anatomy.length
    half = cavity_profile(anatomy, s, side) * per_side(anatomy.half_width, side)
    thickness = per_side(anatomy.thickness, side)
    # Above the apex the wall is half an ellipse, as wide as the walls beside it.
    cap = jnp.hypot(u / (half + thickness), jnp.minimum(v, 0.0) / anatomy.apex_wall)
    above = v < 0
    thickness = jnp.where(above, anatomy.apex_wall, thickness)
    return Place(
        u=u,
        v=v,
        s=s,
        side=side,
        outside=jnp.where(above, cap * anatomy.apex_wall, jnp.abs(u) - half),
        thickness=thickness,
        gap=jnp.minimum(per_side(anatomy.gap, side), 0.5 * thickness),
        below=v - anatomy.length - anatomy.base_tilt * u,
    )
