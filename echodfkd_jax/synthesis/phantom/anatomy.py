"""The heart at end-diastole: random sizes, shapes and echo levels of an apical four-chamber view.

Heart coordinates, in pixels: v runs from the endocardial apex (0) along the long axis to the mitral
plane (length), u to the right of the axis (lateral wall; the septum is at negative u, as displayed
by most laboratories). s = v / length. Sides are indexed 0 (septal, left) and 1 (lateral, right).
Echo levels are in dB; 0 dB is bright myocardium, blood lies around -45 dB.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray

from echodfkd_jax.synthesis.phantom.draws import Draws
from echodfkd_jax.synthesis.phantom.window import Grade, Window, by_window

# The reference map covers this window of heart coordinates (pixels) with this many cells a side:
# cells of 0.7 px are finer than the sound beam, so speckle is fully developed.
MAP_SIZE = 232
U_MIN, V_MIN, MAP_EXTENT = -82.0, -34.0, 164.0


class Anatomy(NamedTuple):
    """Sizes in pixels, levels in dB; pairs are (septal, lateral)."""

    length: Float[Array, ""]
    half_width: Float[Array, "2"]
    widest: Float[Array, "2"]  # s at which the ventricle is widest
    bluntness: Float[Array, "2"]  # exponent of the apical cap: small is blunt
    base_ratio: Float[Array, "2"]  # width at the mitral plane over greatest width
    ripple: Float[Array, "2"]  # irregularity of the endocardium, share of the width
    ripple_phase: Float[Array, "2"]
    wall: Float[Array, "2"]  # thickness
    apex_wall: Float[Array, ""]
    trabecular: Float[Array, "2"]  # thickness of the trabeculated layer inside the outline
    apical_trabeculae: Float[Array, ""]  # reach of that layer from the apex, share of the length
    bend: Float[Array, ""]  # bow of the long axis, pixels
    base_tilt: Float[Array, ""]  # slope of the mitral plane
    rv_depth: Float[Array, ""]  # greatest width of the right ventricle
    rv_top: Float[Array, ""]  # s at which the right ventricle begins


class Tissue(NamedTuple):
    """Echo levels of the left ventricle's wall and of what lies inside it, in dB.

    Attributes:
        blood: of the cavities.
        wall: (septal, lateral) level of the bright core.
        variation: along the wall, typical size.
        apex_drop: added at the apex (negative: the apex is not seen).
        dim: by how much the inner layer is darker than the core.
        core: share of the thickness at which the core begins.
        outer_fade: by how much the outer border is darker than the core.
        trabecular: level of the trabeculated layer relative to the wall.
        merged: 1 where the lateral wall passes into the grey mass beside it without a border.
        mass: level of that mass.
    """

    blood: Float[Array, ""]
    wall: Float[Array, "2"]
    variation: Float[Array, ""]
    apex_drop: Float[Array, ""]
    dim: Float[Array, ""]
    core: Float[Array, ""]
    outer_fade: Float[Array, ""]
    trabecular: Float[Array, ""]
    merged: Float[Array, ""]
    mass: Float[Array, ""]


def sample_tissue(key: PRNGKeyArray, window: Window) -> Tissue:
    """Draws how well the wall is seen.

    In a clear window along its whole length; in others it may have gaps; through a poor one it may
    not be seen at the apex, or not be told from what lies beside it.
    """
    k = Draws(key)
    mess = by_window(window, clear=0.25, fair=jnp.where(k.chance(0.4), 0.25, 1.0), poor=1.0)
    septal = k.normal(-2.0, 4.0, -14.0, 6.0)
    lateral = septal + k.normal(-8.0, 6.0, -26.0, 4.0)
    merged = 1.0 * (k.chance(0.5) & (window == Grade.POOR))
    mass = k.normal(-13.0, 7.0, -34.0, 4.0)
    lateral = lateral + merged * (mass + k.uniform(-2.0, 3.0) - lateral)
    return Tissue(
        blood=k.uniform(-66.0, -40.0),
        wall=jnp.stack([septal, lateral]),
        variation=mess * k.uniform(0.5, 6.0),
        apex_drop=by_window(window, clear=6.0, fair=10.0 + 10.0 * mess, poor=26.0)
        * k.uniform(-1.0, 0.0),
        dim=k.uniform(2.0, 20.0),
        core=k.uniform(0.15, 0.75),
        outer_fade=k.uniform(0.0, 10.0),
        trabecular=k.uniform(-20.0, -2.0),
        merged=merged,
        mass=mass,
    )


def sample_anatomy(key: PRNGKeyArray, window: Window) -> Anatomy:
    """Draws a heart: from small and thick-walled to dilated, straight to strongly bowed.

    One in eight has a right ventricle under load: large, reaching up to the apex, beside a small
    left one. The worse the window, the more of the trabeculated layer looks solid.
    """
    k = Draws(key)
    thick = by_window(window, clear=0.1, fair=0.5, poor=1.0)
    loaded = k.chance(0.12)
    length = k.normal(55.0, 10.0, 27.0, 80.0)
    length = jnp.where(loaded, jnp.maximum(0.72 * length, 25.0), length)
    aspect = k.normal(0.33, 0.065, 0.19, 0.52)
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
        wall=jnp.asarray([5.5, 8.0], jnp.float32)
        * hypertrophy
        * jnp.exp(k.normal(0.0, 0.18, -0.5, 0.5, (2,))),
        apex_wall=k.uniform(4.0, 14.0),
        trabecular=0.3
        + k.uniform(0.0, 1.0, (2,)) ** 1.5 * thick * jnp.asarray([4.0, 7.0], jnp.float32),
        apical_trabeculae=0.01 + 0.16 * thick * k.uniform(0.0, 1.0) ** 1.3,
        bend=k.normal(0.0, 2.0, -5.0, 5.0),
        base_tilt=k.normal(0.0, 0.10, -0.28, 0.28),
        rv_depth=jnp.where(loaded, k.uniform(22.0, 48.0), k.uniform(6.0, 32.0)),
        rv_top=jnp.where(loaded, k.uniform(-0.25, 0.25), k.uniform(0.0, 0.55)),
    )


def cavity_profile(
    anatomy: Anatomy, s: Float[Array, "*n"], side: Float[Array, "*n"]
) -> Float[Array, "*n"]:
    """Half-width of the cavity at end-diastole over its greatest, at s (clipped to 0..1).

    Args:
        anatomy: the ventricle.
        s: position along the axis, 0 apex, 1 base.
        side: 0 septal, 1 lateral, per element.
    """

    def pick(pair: Float[Array, "2"]) -> Float[Array, "*n"]:
        return pair[0] + (pair[1] - pair[0]) * side

    s = jnp.clip(s, 0.0, 1.0)
    widest = pick(anatomy.widest)
    cap = jnp.clip(s / widest, 0.0, 1.0)
    round_apex = jnp.exp(pick(anatomy.bluntness) * jnp.log(1e-6 + 1.0 - (1.0 - cap) ** 2))
    below = jnp.clip((s - widest) / (1.0 - widest), 0.0, 1.0)
    taper = 1.0 - (1.0 - pick(anatomy.base_ratio)) * below**2
    ripple = pick(anatomy.ripple) * jnp.cos(9.0 * s + pick(anatomy.ripple_phase))
    return round_apex * taper * (1.0 + ripple)


def map_coordinates() -> tuple[Float[Array, "n n"], Float[Array, "n n"]]:
    """(u, v) at the centres of the reference map's cells."""
    step = MAP_EXTENT / MAP_SIZE
    line = (jnp.arange(MAP_SIZE, dtype=jnp.float32) + 0.5) * step
    v, u = jnp.meshgrid(V_MIN + line, U_MIN + line, indexing="ij")
    return u, v


def _edge(
    distance: Float[Array, "*n"], softness: Float[Array, ""] | float = 0.8
) -> Float[Array, "*n"]:
    """1 where distance is positive, 0 where negative, soft over about a pixel."""
    return jnp.clip(distance / softness + 0.5, 0.0, 1.0)


def _put(level: Array, over: Array, weight: Array) -> Array:
    return level + (over - level) * weight


def reference_level(key: PRNGKeyArray, anatomy: Anatomy, tissue: Tissue) -> Float[Array, "n n"]:
    """Echo level in dB of everything that moves with the heart, at end-diastole.

    Walls have a dim inner layer and a bright core; inside the outline lies the trabeculated layer,
    which contraction presses out of it (`motion.to_reference`). So the outline that readers draw
    runs outside the dark blood at end-diastole and inside the bright line at end-systole. Valve
    leaflets are not in this map.
    """
    k = Draws(key)
    u, v = map_coordinates()
    s = v / anatomy.length
    side = (u > 0).astype(jnp.float32)
    distance = jnp.abs(u)
    inside_s = jnp.clip(s, 0.0, 1.0)
    cavity = cavity_profile(anatomy, s, side)
    cavity = cavity * (
        anatomy.half_width[0] + (anatomy.half_width[1] - anatomy.half_width[0]) * side
    )
    wall = anatomy.wall[0] + (anatomy.wall[1] - anatomy.wall[0]) * side
    epi = cavity + wall
    below = v - anatomy.length - anatomy.base_tilt * u
    left_epi = anatomy.half_width[0] + anatomy.wall[0]

    # Surroundings: grey tissue, different to the left, right, and behind the atria.
    blood = tissue.blood
    # A third of the hearts lie in even tissue.
    mess = jnp.where(k.chance(0.35), 0.25, 1.0)
    surround = k.normal(-20.0, 8.0, -45.0, -4.0, (3,))
    level = surround[0] + (surround[1] - surround[0]) * jnp.clip(u / 40.0 + 0.5, 0.0, 1.0)
    behind = below - k.uniform(25.0, 50.0)
    level = _put(level, surround[2], _edge(behind, 8.0))
    level = level + k.smooth_field(MAP_SIZE, MAP_SIZE, 7, mess * k.uniform(1.0, 9.0))
    level = level + k.smooth_field(MAP_SIZE, MAP_SIZE, 22, mess * k.uniform(0.0, 4.0))
    # Fat and lung: bright masses anywhere beside and behind the heart.
    for _ in range(4):
        at_u, at_v = k.uniform(-70.0, 70.0), anatomy.length * k.uniform(0.5, 1.7)
        wide, high = k.uniform(4.0, 16.0), k.uniform(3.0, 12.0)
        spot = ((u - at_u) / wide) ** 2 + ((v - at_v) / high) ** 2
        level = jnp.maximum(level, k.uniform(-22.0, 4.0) - 5.0 * spot)
    # The lateral wall often passes into a broad grey mass without a border.
    mass_width = k.uniform(3.0, 30.0) + tissue.merged * k.uniform(5.0, 40.0)
    mass_from = k.uniform(-0.2, 0.7) * (1.0 - tissue.merged) - 0.3 * tissue.merged
    beyond = jnp.where(u > 0, distance - epi, -100.0)
    mass = _edge(beyond + 2.0, 4.0) * _edge(mass_width - beyond, k.uniform(2.0, 16.0))
    mass = mass * _edge(s - mass_from, 0.3) * _edge(k.uniform(5.0, 40.0) - below, 12.0)
    has_mass = jnp.maximum(1.0 * k.chance(0.5), tissue.merged)
    level = _put(level, tissue.mass, mass * has_mass)

    # Right ventricle, with its free wall: a wedge along the septum from mid-level to the base.
    rv_depth, rv_top = anatomy.rv_depth, anatomy.rv_top
    rv_s = jnp.maximum(inside_s, jnp.minimum(s, 1.0))
    along = jnp.clip((rv_s - rv_top) / (1.02 - rv_top), 0.0, 1.0)
    rv_width = rv_depth * along ** k.uniform(0.4, 0.9)
    rv_wall = k.uniform(2.0, 6.0)
    rv_gap = jnp.where(u < 0, distance - epi, -100.0)
    rv_level = k.normal(-14.0, 6.0, -32.0, 0.0)
    in_rv_wall = _edge(rv_gap) * _edge(rv_width + rv_wall - rv_gap) * _edge(4.0 - below, 4.0)
    level = _put(level, rv_level, in_rv_wall * _edge(s - rv_top + 0.05, 0.1))
    in_rv = _edge(rv_gap) * _edge(rv_width - rv_gap) * _edge(-below) * _edge(s - rv_top, 0.05)
    # Blood is blood: only walls and valves tell one chamber from another, no step in brightness.
    level = _put(level, blood + k.uniform(-1.0, 4.0), in_rv)

    # Atria: walls, then cavities, under the two valves.
    wall_level = k.normal(-14.0, 6.0, -32.0, 0.0)
    shell_weight = jnp.maximum(k.uniform(-0.6, 1.0), 0.0)
    softness = k.uniform(1.0, 6.0)
    gap = k.uniform(0.0, 4.0)
    la_half = anatomy.half_width.mean() * k.uniform(0.75, 1.5)
    la_height = k.uniform(9.0, 32.0)
    la_u = anatomy.half_width[1] - 0.5 * jnp.sum(anatomy.half_width) + k.uniform(-3.0, 3.0)
    ra_half = jnp.maximum(rv_depth, 6.0) * k.uniform(0.5, 0.85)
    ra_height = k.uniform(8.0, 24.0) + 0.3 * rv_depth
    ra_u = -(left_epi + k.uniform(0.1, 0.7) * rv_depth)
    # Between ellipses and rounded boxes, with an uneven outline.
    power = k.uniform(1.8, 4.0)
    uneven = k.smooth_field(MAP_SIZE, MAP_SIZE, 12, k.uniform(0.0, 0.22))

    def chamber(at_u: Array, half: Array, height: Array) -> Array:
        x, y = jnp.abs(u - at_u) / half, jnp.abs(below - gap - height) / height
        return (x**power + y**power + 1e-6) ** (1.0 / power) + uneven

    la, ra = chamber(la_u, la_half, la_height), chamber(ra_u, ra_half, ra_height)
    thickness = k.uniform(2.0, 6.0)
    shell = jnp.maximum(
        _edge((1.0 - la) * la_half + thickness, 1.5), _edge((1.0 - ra) * ra_half + thickness, 1.5)
    )
    level = _put(level, wall_level, shell_weight * shell * _edge(below, 2.0))
    atria_blood = blood + k.uniform(-1.0, 1.0)
    level = _put(level, atria_blood, _edge((1.0 - la) * la_half, softness) * _edge(below))
    level = _put(level, atria_blood, _edge((1.0 - ra) * ra_half, softness) * _edge(below))
    # Blood right under the open valve, where the ellipse has not begun yet.
    funnel = (
        _edge(la_half * 0.8 - jnp.abs(u - la_u)) * _edge(la_height * 0.6 - below) * _edge(below)
    )
    level = _put(level, atria_blood, funnel)

    # Left-ventricular wall: level by side, varied along it (dropout), dim inside, bright core.
    septal_curve = tissue.wall[0] + k.smooth_curve(inside_s, 4, tissue.variation)
    uneven_mass = tissue.variation * (1.0 - 0.7 * tissue.merged)
    lateral_curve = tissue.wall[1] + k.smooth_curve(inside_s, 4, uneven_mass)
    wall_db = septal_curve + (lateral_curve - septal_curve) * side
    unseen = k.uniform(0.15, 0.45)
    wall_db = wall_db + tissue.apex_drop * jnp.clip(1.0 - inside_s / unseen, 0.0, 1.0)
    through = jnp.clip((distance - cavity) / wall, 0.0, 1.0)
    softer = 1.0 - 0.7 * tissue.merged * side
    dim = softer * tissue.dim * (1.0 - jnp.clip(through / tissue.core, 0.0, 1.0)) ** 1.5
    fade = softer * tissue.outer_fade * jnp.clip((through - 0.6) / 0.4, 0.0, 1.0)
    core_db = wall_db
    wall_db = wall_db - dim - fade
    cap_distance = jnp.hypot(u / jnp.maximum(epi, 1.0), jnp.minimum(v, 0.0) / anatomy.apex_wall)
    in_wall = jnp.where(
        v > 0,
        _edge(epi - distance) * _edge(-below, 2.0),
        _edge((1.0 - cap_distance) * anatomy.apex_wall),
    )
    level = _put(level, wall_db, in_wall)
    # The lateral epicardium and pericardium: a bright line or grey mass outside the wall.
    pericardium = k.uniform(-18.0, 6.0) - 25.0 * tissue.merged
    line = jnp.exp(-(((distance - epi - 1.5) / k.uniform(1.2, 5.0)) ** 2)) * side
    level = jnp.maximum(
        level, jnp.where(s > 0.15, pericardium + 12.0 * jnp.log(line + 1e-4), -90.0)
    )

    # Left-ventricular cavity: blood, trabeculae towards the wall, papillary muscles.
    grid_noise = k.smooth_field(MAP_SIZE, MAP_SIZE, 40, k.uniform(2.0, 6.0))
    # Trabeculae are thickest laterally and at the apex.
    layer = anatomy.trabecular[0] + (anatomy.trabecular[1] - anatomy.trabecular[0]) * side
    sharpness = k.uniform(1.5, 6.0)
    within = jnp.maximum(
        1.0 - jnp.maximum(cavity - distance, 0.0) / layer,
        1.0 - inside_s / anatomy.apical_trabeculae,
    )
    trabeculae = core_db + tissue.trabecular + grid_noise + 8.7 * sharpness * jnp.minimum(within, 0)
    lumen = jnp.logaddexp(blood / 8.7, trabeculae / 8.7)
    lumen = 8.7 * lumen
    for _ in range(2):
        at_s, at_side = k.uniform(0.3, 0.7), jnp.sign(k.uniform(-0.35, 1.0))
        at_u = at_side * jnp.mean(anatomy.half_width) * k.uniform(0.45, 0.95)
        size = k.uniform(1.2, 3.6)
        stretch = k.uniform(1.5, 3.5)
        blob = jnp.exp(
            -(((u - at_u) / size) ** 2) - ((v - at_s * anatomy.length) / (size * stretch)) ** 2
        )
        muscle = k.uniform(-40.0, -6.0)
        lumen = jnp.maximum(lumen, muscle + 10.0 * jnp.log(blob + 1e-4))
    level = _put(level, lumen, _edge(cavity - distance) * _edge(-below) * _edge(v))

    # Fibrous annulus and crux: bright knots where the mitral plane meets the walls.
    knot = k.uniform(-12.0, 5.0, (2,))
    for index, sign in enumerate((-1.0, 1.0)):
        hinge = anatomy.half_width[index] * anatomy.base_ratio[index] + 0.4 * anatomy.wall[index]
        spread = k.uniform(1.2, 3.8)
        d2 = ((u - sign * hinge) / spread) ** 2 + ((below - 1.0) / (1.4 * spread)) ** 2
        level = jnp.maximum(level, knot[index] - 6.0 * d2)
    # Interatrial septum, continuing the interventricular one.
    septum_u = -(anatomy.half_width[0] * anatomy.base_ratio[0] + 0.5 * anatomy.wall[0])
    septum_d = (u - septum_u) / k.uniform(0.8, 2.8)
    septum = k.normal(-8.0, 7.0, -30.0, 3.0) - 6.0 * septum_d**2
    reach = k.uniform(10.0, 45.0)
    level = jnp.maximum(level, jnp.where((below > 0) & (below < reach), septum, -90.0))
    return level


def reflectivity(key: PRNGKeyArray, level: Float[Array, "n n"]) -> Float[Array, "n n 2"]:
    """Random point scatterers (real and imaginary part) with the given mean level in dB."""
    noise = jax.random.normal(key, (*level.shape, 2), jnp.float32)
    return noise * jnp.exp(level * (jnp.log(10.0) / 20.0))[..., None]
