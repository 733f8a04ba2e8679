"""How brightly everything that moves with the heart reflects, on the reference map.

Levels are in dB; 0 dB is bright septum, blood lies around -50 dB. `echo_level` lays one thing over
the other, from what surrounds the heart to the knots of the mitral annulus; each function takes the
map as it is so far and gives it with one more thing in it. Regions are no even areas: each consists
of two to four kinds of tissue in patches, for a network shall not know a wall by its grey.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray

from echodfkd_jax.synthesis.phantom.anatomy import MAP_SIZE, Anatomy, Place, per_side
from echodfkd_jax.synthesis.phantom.chambers import Chambers, atrium, beside_septum, right_ventricle
from echodfkd_jax.synthesis.phantom.decibels import NEPER, added, amplitude
from echodfkd_jax.synthesis.phantom.draws import Draws
from echodfkd_jax.synthesis.phantom.window import Grade, Window, by_darkness, by_window

Level = Float[Array, "n n"]


class Tissue(NamedTuple):
    """Echo levels of the left ventricle's wall and of what lies inside it, in dB.

    Attributes:
        blood: of the cavities.
        septal: level of the septum's bright core.
        lateral: level of the lateral wall's.
        variation: along the wall, typical size.
        patches: of the kinds of tissue within a region, typical size.
        apex_drop: added at the apex (negative: the apex is not seen).
        dim: by how much the inner layer is darker than the core.
        core: share of the thickness at which the core begins.
        outer_fade: by how much the outer border is darker than the core.
        trabecular: level of the trabeculated layer relative to the wall.
        merged: 1 where the lateral wall passes into the grey mass beside it without a border.
        mass: level of that mass.
        darkness: of the picture, see `window.sample_darkness`.
    """

    blood: Float[Array, ""]
    septal: Float[Array, ""]
    lateral: Float[Array, ""]
    variation: Float[Array, ""]
    patches: Float[Array, ""]
    apex_drop: Float[Array, ""]
    dim: Float[Array, ""]
    core: Float[Array, ""]
    outer_fade: Float[Array, ""]
    trabecular: Float[Array, ""]
    merged: Float[Array, ""]
    mass: Float[Array, ""]
    darkness: Float[Array, ""]

    def drawn(self, bright: Array | float, dark: Array | float) -> Float[Array, "..."]:
        """A number that goes by the picture's darkness."""
        return by_darkness(self.darkness, bright, dark)


def sample_tissue(k: Draws, window: Window, darkness: Float[Array, ""]) -> Tissue:
    """Draws how well the wall is seen.

    The septum, which the beam meets at an angle, is the brightest; the lateral wall, along the
    beam, is 13 to 17 dB darker on average, and the apex has hardly a border at all. Through a poor
    window more is lost, or cannot be told from what lies beside it.
    """
    mess = by_window(window, clear=0.25, fair=jnp.where(k.chance(0.4), 0.25, 1.0), poor=1.0)
    septal = k.normal(by_darkness(darkness, -2.0, -9.5), 4.0, -19.0, 6.0)
    lateral = septal - k.normal(by_darkness(darkness, 13.0, 17.5), 4.5, -1.0, 28.0)
    merged = 1.0 * (k.chance(0.5) & (window == Grade.POOR))
    mass = k.normal(by_darkness(darkness, -13.0, -21.0), 7.0, -36.0, 4.0)
    lateral = lateral + merged * (mass + k.uniform(-2.0, 3.0) - lateral)
    return Tissue(
        blood=k.uniform(-66.0, -40.0),
        septal=septal,
        lateral=lateral,
        variation=mess * k.uniform(0.5, 6.0),
        patches=k.uniform(0.0, 2.5),
        apex_drop=by_window(window, clear=6.0, fair=10.0 + 10.0 * mess, poor=26.0)
        * k.uniform(-1.0, 0.0)
        - k.uniform(6.0, 24.0),
        dim=k.uniform(2.0, 20.0),
        core=k.uniform(0.15, 0.75),
        outer_fade=k.uniform(0.0, 10.0),
        trabecular=k.uniform(-20.0, -2.0) - k.uniform(2.0, 10.0),
        merged=merged,
        mass=mass,
        darkness=darkness,
    )


def edge(
    distance: Float[Array, "*n"], softness: Float[Array, ""] | float = 0.8
) -> Float[Array, "*n"]:
    """1 where distance is positive, 0 where negative, soft over about a pixel."""
    return jnp.clip(distance / softness + 0.5, 0.0, 1.0)


def put(level: Level, over: Array, weight: Array) -> Level:
    """`over` instead of `level` where `weight` is 1."""
    return level + (over - level) * weight


def echo_level(
    key: PRNGKeyArray, anatomy: Anatomy, tissue: Tissue, chambers: Chambers, place: Place
) -> Level:
    """Echo level in dB of everything that moves with the heart, at end-diastole.

    Inside the outline lies the trabeculated layer, which contraction presses out of it
    (`motion.to_reference`). Valve leaflets are not in this map.
    """
    k = Draws(key)
    level = surroundings(k, anatomy, tissue, place)
    level = lateral_mass(k, level, tissue, place)
    level = right_heart(k, level, anatomy, tissue, chambers, place)
    level = atria(k, level, tissue, chambers, place)
    core_db = muscle(k, tissue, place)
    level = wall(k, level, core_db, tissue, place)
    level = lumen(k, level, core_db, anatomy, tissue, place)
    return annulus(k, level, anatomy, tissue, place)


def surroundings(k: Draws, anatomy: Anatomy, tissue: Tissue, place: Place) -> Level:
    """Grey tissue, different to the left, right, and behind the atria; fat and lung in it."""
    u, v = place.u, place.v
    # A third of the hearts lie in even tissue.
    mess = jnp.where(k.chance(0.35), 0.25, 1.0)
    sides = k.normal(tissue.drawn(-20.0, -29.0), 8.0, -50.0, -4.0, (3,))
    level = sides[0] + (sides[1] - sides[0]) * jnp.clip(u / 40.0 + 0.5, 0.0, 1.0)
    level = put(level, sides[2], edge(place.below - k.uniform(25.0, 50.0), 8.0))
    level = level + k.smooth_field(MAP_SIZE, MAP_SIZE, 7, mess * k.uniform(1.0, 8.0))
    level = level + k.smooth_field(MAP_SIZE, MAP_SIZE, 22, mess * k.uniform(0.0, 4.0))
    level = level + k.clusters(MAP_SIZE, MAP_SIZE, 9, 4, tissue.patches)
    # Fat and lung: bright masses anywhere beside and behind the heart.
    for _ in range(4):
        at_u, at_v = k.uniform(-70.0, 70.0), anatomy.length * k.uniform(0.6, 1.8)
        wide, high = k.uniform(4.0, 16.0), k.uniform(3.0, 12.0)
        spot = ((u - at_u) / wide) ** 2 + ((v - at_v) / high) ** 2
        mass = k.uniform(tissue.drawn(-22.0, -32.0), tissue.drawn(4.0, -1.0))
        level = jnp.maximum(level, mass - 5.0 * spot)
    # The pericardium behind the atria: a bright bow, to one side or right across.
    bow_at = anatomy.length + k.uniform(12.0, 50.0) - k.uniform(-0.002, 0.008) * u**2
    bow = k.uniform(-22.0, 3.0) - 6.0 * ((v - bow_at) / k.uniform(1.5, 6.0)) ** 2
    from_u = k.uniform(-80.0, 20.0)
    across = (u > from_u) & (u < from_u + k.uniform(30.0, 120.0)) & (place.below > 2.0)
    return jnp.where(across, jnp.maximum(level, bow), level)


def lateral_mass(k: Draws, level: Level, tissue: Tissue, place: Place) -> Level:
    """The lateral wall often passes into a broad grey mass without a border."""
    width = k.uniform(3.0, 30.0) + tissue.merged * k.uniform(5.0, 40.0)
    begins = k.uniform(-0.2, 0.7) * (1.0 - tissue.merged) - 0.3 * tissue.merged
    beyond = jnp.where(place.side > 0.5, place.outside - place.thickness, -100.0)
    weight = edge(beyond + 2.0, 4.0) * edge(width - beyond, k.uniform(2.0, 16.0))
    weight = weight * edge(place.s - begins, 0.3)
    weight = weight * edge(k.uniform(5.0, 40.0) - place.below, 12.0)
    there = jnp.maximum(1.0 * k.chance(0.5), tissue.merged)
    return put(level, tissue.mass, weight * there)


def right_heart(
    k: Draws,
    level: Level,
    anatomy: Anatomy,
    tissue: Tissue,
    chambers: Chambers,
    place: Place,
) -> Level:
    """The right ventricle with its free wall and the band that crosses it."""
    blood, walled = right_ventricle(place, anatomy, chambers)
    free_wall = k.normal(tissue.drawn(-14.0, -22.0), 6.0, -38.0, 0.0)
    level = put(level, free_wall, edge(walled, 1.5))
    # Blood is blood: only walls and valves tell one chamber from another, no step in brightness.
    inside = tissue.blood + k.uniform(-1.0, 4.0)
    coarse = k.uniform(-40.0, -12.0) + k.smooth_field(MAP_SIZE, MAP_SIZE, 30, 4.0)
    far_side = jnp.exp(-jnp.maximum(blood, 0.0) / k.uniform(0.5, 3.0))
    away = edge(beside_septum(place) - 0.4 * anatomy.rv_depth, 4.0)
    inside = added(inside, coarse + NEPER * jnp.log(far_side * away + 1e-4))
    band_at, band_slope = k.uniform(0.35, 0.7), k.uniform(-0.8, 0.8)
    band = (place.v - band_at * anatomy.length - band_slope * (place.u + 20.0)) / k.uniform(
        0.8, 2.0
    )
    band = jnp.where(k.chance(0.4), k.uniform(-30.0, -12.0), -90.0) - 6.0 * band**2
    return put(level, jnp.maximum(inside, band), edge(blood))


def atria(k: Draws, level: Level, tissue: Tissue, chambers: Chambers, place: Place) -> Level:
    """Walls, then cavities, under the two valves."""
    wall_level = k.normal(tissue.drawn(-14.0, -22.0), 6.0, -38.0, 0.0)
    shell_weight = jnp.maximum(k.uniform(-0.6, 1.0), 0.0)
    softness = k.uniform(1.0, 6.0)
    thickness = k.uniform(2.0, 6.0)
    left, right = (atrium(place, chambers, index) for index in (0, 1))
    shell = jnp.maximum(edge(left + thickness, 1.5), edge(right + thickness, 1.5))
    level = put(level, wall_level, shell_weight * shell * edge(place.below, 2.0))
    blood = tissue.blood + k.uniform(-1.0, 1.0)
    for inside in (left, right):
        level = put(level, blood, edge(inside, softness) * edge(place.below))
    return level


def muscle(k: Draws, tissue: Tissue, place: Place) -> Level:
    """The core of the left ventricle's wall, and of what continues it inward: by side, uneven."""
    s, side = jnp.clip(place.s, 0.0, 1.0), place.side
    septal = tissue.septal + k.smooth_curve(s, 4, tissue.variation)
    uneven_mass = tissue.variation * (1.0 - 0.7 * tissue.merged)
    lateral = tissue.lateral + k.smooth_curve(s, 4, uneven_mass)
    core_db = septal + (lateral - septal) * side
    unseen = k.uniform(0.15, 0.45)
    core_db = core_db + tissue.apex_drop * jnp.clip(1.0 - s / unseen, 0.0, 1.0)
    return core_db + k.clusters(MAP_SIZE, MAP_SIZE, 18, 3, tissue.patches)


def wall(k: Draws, level: Level, core_db: Level, tissue: Tissue, place: Place) -> Level:
    """The left ventricle's wall: dim inside, bright core."""
    side = place.side
    inside = jnp.maximum(place.outside - place.gap, 0.0)
    through = jnp.clip(inside / (place.thickness - place.gap), 0.0, 1.0)
    softer = 1.0 - 0.7 * tissue.merged * side
    dim = _inner_dim(tissue, place) * (1.0 - jnp.clip(through / tissue.core, 0.0, 1.0)) ** 1.5
    fade = softer * tissue.outer_fade * jnp.clip((through - 0.6) / 0.4, 0.0, 1.0)
    in_wall = edge(place.outside - place.gap) * edge(place.thickness - place.outside)
    level = put(level, core_db - dim - fade, in_wall * edge(-place.below, 2.0))
    # The lateral epicardium and pericardium: a bright line or grey mass outside the wall.
    pericardium = k.uniform(tissue.drawn(-18.0, -44.0), tissue.drawn(6.0, -6.0))
    pericardium = pericardium - 25.0 * tissue.merged
    off = (place.outside - place.thickness - 1.5) / k.uniform(1.2, 5.0)
    line = pericardium + 12.0 * jnp.log(jnp.exp(-(off**2)) + 1e-4)
    shown = (side > 0.5) & (place.s > 0.15) & (place.outside > place.gap)
    return jnp.maximum(level, jnp.where(shown & (place.below < 12.0), line, -90.0))


def _inner_dim(tissue: Tissue, place: Place) -> Level:
    """By how much the wall's inner side is darker than its core, dB: half as much laterally."""
    return (1.0 - 0.7 * tissue.merged * place.side) * tissue.dim


def lumen(
    k: Draws, level: Level, core_db: Level, anatomy: Anatomy, tissue: Tissue, place: Place
) -> Level:
    """The left ventricle's cavity: blood, trabeculae towards the wall, papillary muscles."""
    s = jnp.clip(place.s, 0.0, 1.0)
    grain = k.smooth_field(MAP_SIZE, MAP_SIZE, 40, k.uniform(2.0, 6.0))
    # Trabeculae are thickest laterally and at the apex.
    layer = per_side(anatomy.trabecular, place.side)
    inner = jnp.maximum(place.gap - place.outside, 0.0)
    depth = jnp.minimum(inner / layer, s / anatomy.apical_trabeculae)
    trabeculae = core_db + tissue.trabecular + grain
    trabeculae = trabeculae - NEPER * k.uniform(1.5, 6.0) * jnp.maximum(depth - 1.0, 0.0)
    inside = added(tissue.blood, trabeculae)
    for _ in range(3):
        at_s, at_side = k.uniform(0.2, 0.75), jnp.sign(k.uniform(-0.35, 1.0))
        at_u = at_side * jnp.mean(anatomy.half_width) * k.uniform(0.45, 0.95)
        size = k.uniform(0.8, 3.8)
        stretch = k.uniform(1.5, 3.5)
        off_u, off_v = (place.u - at_u) / size, (place.v - at_s * anatomy.length) / (size * stretch)
        papillary = k.uniform(tissue.drawn(-40.0, -50.0), tissue.drawn(-6.0, -10.0))
        inside = jnp.maximum(
            inside, papillary + 10.0 * jnp.log(jnp.exp(-(off_u**2) - off_v**2) + 1e-4)
        )
    within = edge(place.gap - place.outside) * edge(-place.below) * edge(place.v + place.gap)
    return put(level, inside, within)


def annulus(k: Draws, level: Level, anatomy: Anatomy, tissue: Tissue, place: Place) -> Level:
    """Where the mitral plane meets the walls: knots, the posts below them, the atrial septum."""
    hinge = anatomy.half_width * anatomy.base_ratio + 0.5 * anatomy.thickness
    knot = k.uniform(tissue.drawn(-14.0, -38.0), tissue.drawn(4.0, -4.0), (2,))
    for index, sign in enumerate((-1.0, 1.0)):
        spread = k.uniform(1.2, 3.6)
        d2 = ((place.u - sign * hinge[index]) / spread) ** 2
        d2 = d2 + ((place.below - 2.5) / (1.4 * spread)) ** 2
        level = jnp.maximum(level, knot[index] - 6.0 * d2)
        # Fat of the groove between ventricle and atrium.
        wide = k.uniform(1.5, 4.0) if index == 0 else k.uniform(2.0, 8.0)
        leans = k.uniform(-0.3, 0.3)
        outward = sign * (place.u - sign * (hinge[index] + wide)) - leans * place.below
        post = k.uniform(-40.0, -4.0) - 6.0 * (outward / wide) ** 2
        reach = k.uniform(2.0, 28.0)
        ends = 6.0 * jnp.maximum(place.below - reach, 0.0) / k.uniform(1.0, 8.0)
        level = jnp.maximum(level, jnp.where(place.below > 0, post - ends, -90.0))
    # Interatrial septum, continuing the interventricular one.
    septum_u = -(anatomy.half_width[0] * anatomy.base_ratio[0] + 0.5 * anatomy.thickness[0])
    off = (place.u - septum_u) / k.uniform(0.8, 2.8)
    septum = k.normal(tissue.drawn(-8.0, -18.0), 7.0, -36.0, 3.0) - 6.0 * off**2
    reach = k.uniform(10.0, 45.0)
    return jnp.maximum(level, jnp.where((place.below > 0) & (place.below < reach), septum, -90.0))


def reflectivity(key: PRNGKeyArray, level: Level) -> Float[Array, "n n 2"]:
    """Random point scatterers (real and imaginary part) with the given mean level in dB."""
    noise = jax.random.normal(key, (*level.shape, 2), jnp.float32)
    return noise * amplitude(level)[..., None]
