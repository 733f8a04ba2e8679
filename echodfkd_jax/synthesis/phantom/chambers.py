"""The other chambers at end-diastole: right ventricle and atria, and which structure lies where."""

from typing import NamedTuple

import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from echodfkd_jax.synthesis.phantom.anatomy import MAP_SIZE, Anatomy, Place
from echodfkd_jax.synthesis.phantom.draws import Draws

# In the order of the last axis of `SyntheticClip.structures`. The first one, the cavity, is drawn
# by `motion.cavity_mask`; the others are looked up in `labels`.
STRUCTURES = ("lv", "lv_myocardium", "la", "rv", "ra")


class Chambers(NamedTuple):
    """Sizes in pixels.

    Attributes:
        rv_shape: exponent of the right ventricle's width from its apex down: small is blunt.
        rv_wall: thickness of its free wall.
        middle: (left, right atrium) u of the middle.
        half: half-widths of the atria.
        height: half-heights.
        gap: between the mitral plane and the atria's upper end.
        power: exponent of their outline: 2 is an ellipse, more a rounded box.
        uneven: (n, n) irregularity of their outline, share of the size.
    """

    rv_shape: Float[Array, ""]
    rv_wall: Float[Array, ""]
    middle: Float[Array, "2"]
    half: Float[Array, "2"]
    height: Float[Array, "2"]
    gap: Float[Array, ""]
    power: Float[Array, ""]
    uneven: Float[Array, "n n"]


def sample_chambers(k: Draws, anatomy: Anatomy) -> Chambers:
    """Draws chambers that fit beside and below a left ventricle."""
    left_epicardium = anatomy.half_width[0] + anatomy.thickness[0]
    middle = 0.5 * (anatomy.half_width[1] - anatomy.half_width[0])
    ra_half = jnp.maximum(anatomy.rv_depth, 6.0) * k.uniform(0.5, 0.85)
    return Chambers(
        rv_shape=k.uniform(0.4, 0.9),
        rv_wall=k.uniform(2.0, 6.0),
        middle=jnp.stack(
            [
                middle + k.uniform(-3.0, 3.0),
                -(left_epicardium + k.uniform(0.1, 0.7) * anatomy.rv_depth),
            ]
        ),
        half=jnp.stack([anatomy.half_width.mean() * k.uniform(0.75, 1.5), ra_half]),
        height=jnp.stack([k.uniform(9.0, 32.0), k.uniform(8.0, 24.0) + 0.3 * anatomy.rv_depth]),
        gap=k.uniform(0.0, 4.0),
        power=k.uniform(1.8, 4.0),
        uneven=k.smooth_field(MAP_SIZE, MAP_SIZE, 12, k.uniform(0.0, 0.22)),
    )


def beside_septum(place: Place) -> Float[Array, "n n"]:
    """Distance from the septum's right side; very negative on the lateral side."""
    return jnp.where(place.side < 0.5, place.outside - place.thickness, -100.0)


def right_ventricle(
    place: Place, anatomy: Anatomy, chambers: Chambers
) -> tuple[Float[Array, "n n"], Float[Array, "n n"]]:
    """A wedge along the septum, from mid-level to the base.

    Returns:
        Depth inside the blood, pixels (negative outside), and the same with the free wall.
    """
    top = anatomy.rv_top
    along = jnp.clip((jnp.clip(place.s, 0.0, 1.0) - top) / (1.02 - top), 0.0, 1.0)
    width = anatomy.rv_depth * along**chambers.rv_shape
    from_septum = beside_septum(place)
    ends = jnp.minimum((place.s - top) * anatomy.length, -place.below)
    blood = jnp.minimum(jnp.minimum(from_septum, width - from_septum), ends)
    wall_ends = jnp.minimum((place.s - top + 0.05) * anatomy.length, 2.0 - place.below)
    wall = jnp.minimum(from_septum, width + chambers.rv_wall - from_septum)
    return blood, jnp.minimum(wall, wall_ends)


def atrium(place: Place, chambers: Chambers, index: int) -> Float[Array, "n n"]:
    """Depth inside the left (0) or right (1) atrium, pixels; negative outside."""
    half, height = chambers.half[index], chambers.height[index]
    x = jnp.abs(place.u - chambers.middle[index]) / half
    y = jnp.abs(place.below - chambers.gap - height) / height
    radius = (x**chambers.power + y**chambers.power + 1e-6) ** (1.0 / chambers.power)
    # The chamber reaches the valve: the upper half of the shape is opened up towards it.
    funnel = jnp.where(place.below < chambers.gap + height, x / 0.8, radius)
    radius = jnp.minimum(radius, jnp.where(y < 1.2, funnel, radius))
    return jnp.minimum((1.0 - radius - chambers.uneven) * half, place.below)


def labels(place: Place, anatomy: Anatomy, chambers: Chambers) -> Int[Array, "n n"]:
    """Index into `STRUCTURES` of every cell of the reference map, 0 where it is none of them.

    Blood of the left ventricle is 0 too: contraction moves its outline through the tissue.
    """
    wall = (place.outside > 0) & (place.outside < place.thickness) & (place.below < 0)
    rv, _ = right_ventricle(place, anatomy, chambers)
    found = jnp.zeros_like(place.u, jnp.int32)
    for name, inside in (
        ("ra", atrium(place, chambers, 1) > 0),
        ("la", atrium(place, chambers, 0) > 0),
        ("rv", rv > 0),
        ("lv_myocardium", wall),
    ):
        found = jnp.where(inside, STRUCTURES.index(name), found)
    return found
