"""How the heart moves: beats, volume curve, valves, drift, and the deformation of the tissue.

The volume curve has the parts a reader knows: systole in about the first third, early filling,
diastasis and the atrial kick. The wall follows it everywhere at once but not everywhere as far:
the base moves more than the apex, and single regions may lag.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from echodfkd_jax.synthesis.phantom.anatomy import Anatomy, cavity_profile, lateral, per_side
from echodfkd_jax.synthesis.phantom.draws import Draws

MAX_BEATS = 24
# How far, in pixels, the motion of the heart reaches into what surrounds it.
_REACH_PX = 26.0


class Motion(NamedTuple):
    """What changes with time; (t,) arrays have one value per frame.

    Attributes:
        fps: frames per second.
        contraction: 0 at end-diastole, 1 at full end-systole.
        opening: mitral and tricuspid opening, 0 closed to 1 wide open.
        obliteration: the endocardial apex's way towards the base at full contraction (the apical
            wall thickens), share of the length.
        shortening: the base's way towards the apex at full contraction, share of the length.
        narrowing: (septal, lateral) inward way of the walls at full contraction, share of width.
        apical_excess: (septal, lateral) by how much the apex narrows more (or less) than the base.
        thickening: relative growth of the walls at full contraction.
        compaction: share of the trabeculated layer that is pressed into the wall, out of the
            outline, at full contraction.
        drift: (t, 2) pixels, probe and breathing.
        rock: (t,) radians, rotation about the apex.
    """

    fps: Float[Array, ""]
    contraction: Float[Array, "*t"]
    opening: Float[Array, "*t"]
    obliteration: Float[Array, ""]
    shortening: Float[Array, ""]
    narrowing: Float[Array, "2"]
    apical_excess: Float[Array, "2"]
    thickening: Float[Array, ""]
    compaction: Float[Array, ""]
    drift: Float[Array, "*t 2"]
    rock: Float[Array, "*t"]


def _rise(x: Float[Array, "*n"]) -> Float[Array, "*n"]:
    """0 below 0, 1 above 1, a cosine ramp between."""
    return 0.5 - 0.5 * jnp.cos(jnp.pi * jnp.clip(x, 0.0, 1.0))


def _beats(
    k: Draws, num_frames: int
) -> tuple[Float[Array, ""], Float[Array, "t"], Float[Array, "t"], Float[Array, "t"]]:
    """Frame rate, position in the beat (0..1), the beat's strength, and its length in seconds."""
    fps = jnp.where(k.chance(0.5), 50.0, jnp.exp(k.uniform(3.0, 4.38)))
    # One whole beat has to fit: a clip without a systole has no end-systole to find.
    longest_s = jnp.clip(0.9 * num_frames / fps, 0.4, 1.5)
    period_s = jnp.minimum(jnp.clip(k.normal(0.9, 0.22, 0.4, 1.5), 0.4, 1.5), longest_s)
    irregular = jnp.where(k.chance(0.12), 0.22, 0.03)
    jitter = jnp.clip(1.0 + irregular * k.normal(0.0, 1.0, -4.0, 4.0, (MAX_BEATS,)), 0.55, 1.6)
    lengths = jnp.clip(period_s * jitter, 0.4, jnp.maximum(longest_s, 0.4))
    # A short beat has filled less: it is a weaker one.
    strengths = jnp.clip(0.5 + 0.5 * jitter, 0.6, 1.0)
    start = -k.uniform(0.0, 1.0) * lengths[0]
    ends = start + jnp.cumsum(lengths)
    time = jnp.arange(num_frames, dtype=jnp.float32) / fps
    index = jnp.minimum(jnp.sum(time[:, None] >= ends[None], axis=1), MAX_BEATS - 1)
    phase = (time - (ends[index] - lengths[index])) / lengths[index]
    return fps, jnp.clip(phase, 0.0, 1.0), strengths[index], lengths[index]


def sample_motion(k: Draws, num_frames: int) -> Motion:
    """Draws beats, ejection fraction (10 to 80 %), regional motion, drift and valve timing."""
    fps, phase, strength, length_s = _beats(k, num_frames)
    # Systole shortens less than diastole when the heart is fast (Weissler: about 0.3 s + little).
    systole = jnp.clip((0.22 + 0.12 * length_s) / length_s * k.uniform(0.85, 1.12), 0.22, 0.62)
    filling = jnp.clip(k.uniform(0.13, 0.24) / length_s, 0.1, 0.7 * (1.0 - systole))
    pause = k.uniform(0.01, 0.06)
    kick = k.uniform(0.09, 0.16) * jnp.where(k.chance(0.1), 0.0, 1.0)
    kick = jnp.minimum(kick, 0.4 * (1.0 - systole))
    early = jnp.where(kick > 0, k.uniform(0.5, 0.9), 1.0)
    late = _rise((phase - (1.0 - kick)) / jnp.maximum(kick, 1e-3))
    ejected = _rise((phase / systole) ** k.uniform(0.75, 1.15))
    filled = early * _rise((phase - systole - pause) / filling) + (1.0 - early) * late
    contraction = strength * jnp.clip(ejected - filled, 0.0, 1.0)

    since = (phase - systole - pause) / filling
    e_wave = jnp.exp(-((since - 0.42) ** 2) / 0.10)
    a_wave = jnp.where(kick > 0, 0.8, 0.0) * jnp.exp(
        -(((phase - 1.0 + 0.6 * kick) / jnp.maximum(0.45 * kick, 1e-3)) ** 2)
    )
    between = k.uniform(0.1, 0.6) * _rise(since) * (1.0 - _rise((phase - 0.97) / 0.03))
    opening = jnp.clip(jnp.maximum(jnp.maximum(e_wave, a_wave), between), 0.0, 1.0)

    healthy = k.normal(0.62, 0.07, 0.40, 0.80)
    any_ef = k.uniform(0.10, 0.80)
    ejection = jnp.where(k.chance(0.45), healthy, any_ef)
    # Volume goes with length * width^2; the share of the length varies between hearts.
    share = k.normal(0.26, 0.08, 0.08, 0.42)
    left = jnp.log(1.0 - ejection)
    shortening = 1.0 - jnp.exp(share * left)
    # Part of the shortening happens at the apex, whose inner layer fills the cavity in systole.
    apical_part = k.uniform(0.0, 0.55)
    narrowing = 1.0 - jnp.exp(0.5 * (1.0 - share) * left)
    imbalance = k.normal(0.0, 0.22, -0.6, 0.6)
    time = jnp.arange(num_frames) / (3.0 * fps)
    size = jnp.abs(k.normal(0.0, 1.0, -3.0, 3.0))
    drift = jnp.stack([k.smooth_curve(time, 3, size), k.smooth_curve(time, 3, size)], axis=-1)
    swing = k.normal(0.0, 1.5, -4.0, 4.0, (2,))
    return Motion(
        fps=fps,
        contraction=contraction,
        opening=opening,
        obliteration=shortening * apical_part,
        shortening=shortening * (1.0 - 0.6 * apical_part),
        narrowing=jnp.clip(narrowing * jnp.stack([1.0 + imbalance, 1.0 - imbalance]), 0.0, 0.75),
        apical_excess=k.normal(0.05, 0.25, -0.7, 0.5, (2,)),
        thickening=ejection * k.uniform(0.6, 1.8),
        compaction=k.uniform(0.0, 1.3) * jnp.sqrt(ejection),
        drift=drift + contraction[:, None] * swing,
        rock=contraction * k.normal(0.0, 0.03, -0.09, 0.09),
    )


def at_frame(motion: Motion, number: Int[Array, ""]) -> Motion:
    """The motion with every per-frame array replaced by its value in one frame."""
    return motion._replace(
        contraction=motion.contraction[number],
        opening=motion.opening[number],
        drift=motion.drift[number],
        rock=motion.rock[number],
    )


class Pose(NamedTuple):
    """Where the heart lies in the image: apex in pixels, tilt of the long axis in radians."""

    apex_x: Float[Array, ""]
    apex_y: Float[Array, ""]
    tilt: Float[Array, ""]


def heart_coordinates(
    anatomy: Anatomy,
    motion: Motion,
    pose: Pose,
    x: Float[Array, "*n"],
    y: Float[Array, "*n"],
) -> tuple[Float[Array, "*n"], Float[Array, "*n"]]:
    """Image pixels (x right, y down) to heart coordinates (u, v) of one frame."""
    tilt = pose.tilt + motion.rock
    dx = x - pose.apex_x - motion.drift[0]
    dy = y - pose.apex_y - motion.drift[1]
    u = dx * jnp.cos(tilt) - dy * jnp.sin(tilt)
    v = dx * jnp.sin(tilt) + dy * jnp.cos(tilt)
    bow = jnp.clip(v / anatomy.length, 0.0, 1.0)
    return u - anatomy.bend * 4.0 * bow * (1.0 - bow), v


def image_coordinates(
    anatomy: Anatomy, pose: Pose, u: Float[Array, "*n"], v: Float[Array, "*n"]
) -> tuple[Float[Array, "*n"], Float[Array, "*n"]]:
    """Heart coordinates to image pixels (x, y) before drift and rocking."""
    bow = jnp.clip(v / anatomy.length, 0.0, 1.0)
    u = u + anatomy.bend * 4.0 * bow * (1.0 - bow)
    x = pose.apex_x + u * jnp.cos(pose.tilt) + v * jnp.sin(pose.tilt)
    y = pose.apex_y - u * jnp.sin(pose.tilt) + v * jnp.cos(pose.tilt)
    return x, y


def base_position(anatomy: Anatomy, motion: Motion) -> Float[Array, ""]:
    """V of the mitral plane in this frame, pixels."""
    return anatomy.length * (1.0 - motion.shortening * motion.contraction)


def apex_position(anatomy: Anatomy, motion: Motion) -> Float[Array, ""]:
    """V of the endocardial apex in this frame, pixels; 0 at end-diastole."""
    return anatomy.length * motion.obliteration * motion.contraction


def axis_position(anatomy: Anatomy, motion: Motion, v: Float[Array, "*n"]) -> Float[Array, "*n"]:
    """s: 0 at this frame's endocardial apex, 1 at its mitral plane."""
    apex = apex_position(anatomy, motion)
    return (v - apex) / (base_position(anatomy, motion) - apex)


def half_widths(
    anatomy: Anatomy, motion: Motion, s: Float[Array, "*n"], side: Float[Array, "*n"]
) -> tuple[Float[Array, "*n"], Float[Array, "*n"]]:
    """Half-width of the cavity at s: (in this frame, at end-diastole), pixels."""
    rest = cavity_profile(anatomy, s, side) * per_side(anatomy.half_width, side)
    regional = 1.0 + per_side(motion.apical_excess, side) * (1.0 - 2.0 * jnp.clip(s, 0.0, 1.0))
    narrowing = per_side(motion.narrowing, side)
    narrowed = jnp.clip(narrowing * regional * motion.contraction, -0.2, 0.85)
    return rest * (1.0 - narrowed), rest


def cavity_mask(
    anatomy: Anatomy, motion: Motion, u: Float[Array, "*n"], v: Float[Array, "*n"]
) -> Bool[Array, "*n"]:
    """Which points lie in the left-ventricular cavity in this frame.

    The reader's convention: the outline is where the blood ends, a little inside of the bright
    wall; trabeculae and papillary muscles are inside; the base is the straight line between the
    hinges of the mitral valve.
    """
    side = lateral(u)
    s = axis_position(anatomy, motion, v)
    now, _ = half_widths(anatomy, motion, s, side)
    above_base = v - anatomy.base_tilt * u < base_position(anatomy, motion)
    return (jnp.abs(u) < now) & (s > 0) & above_base


def to_reference(
    anatomy: Anatomy, motion: Motion, u: Float[Array, "*n"], v: Float[Array, "*n"]
) -> tuple[Float[Array, "*n"], Float[Array, "*n"]]:
    """Heart coordinates of this frame to those the same piece of tissue has at end-diastole."""
    base, apex = base_position(anatomy, motion), apex_position(anatomy, motion)
    below = v - anatomy.base_tilt * u - base
    side = lateral(u)
    s = axis_position(anatomy, motion, v)
    # The outline is no line of tissue: contraction presses the trabeculae out of it.
    pressed = motion.compaction * motion.contraction
    tip = anatomy.length * jnp.minimum(pressed * anatomy.apical_trabeculae, 0.3)
    # The apical wall between its fixed outer side and the descending endocardium is stretched.
    cap = tip + (v - apex) * (anatomy.apex_wall + tip) / (anatomy.apex_wall + apex)
    pulled = jnp.clip(1.0 - below / _REACH_PX, 0.0, 1.0)
    v0 = jnp.where(
        v < -anatomy.apex_wall,
        v,
        jnp.where(
            s < 0,
            cap,
            jnp.where(
                below < 0,
                tip + s * (anatomy.length - tip),
                v + (anatomy.length - base) * pulled,
            ),
        ),
    )
    now, _ = half_widths(anatomy, motion, s, side)
    rest = cavity_profile(anatomy, v0 / anatomy.length, side) * per_side(anatomy.half_width, side)
    # The endocardium lies a little outside of the outline; trabeculae and wall are stretched alike.
    gap, muscle = per_side(anatomy.gap, side), per_side(anatomy.wall, side)
    now, rest = now + gap, rest + gap
    line = rest - jnp.minimum(pressed * per_side(anatomy.trabecular, side), 0.35 * rest)
    thick = muscle * (1.0 + motion.thickening * motion.contraction)
    distance = jnp.abs(u)
    outside = distance - now - thick
    fade = jnp.clip(1.0 - outside / _REACH_PX, 0.0, 1.0)
    u0 = jnp.where(
        distance < now,
        distance * line / jnp.maximum(now, 1e-3),
        jnp.where(
            outside < 0,
            line + (distance - now) * (rest + muscle - line) / thick,
            distance + (rest + muscle - now - thick) * fade,
        ),
    )
    return jnp.sign(u) * u0, v0


def points_at_rest(
    anatomy: Anatomy, motion: Motion, pose: Pose, side_px: int
) -> Float[Array, "t h w 2"]:
    """Where the tissue that every pixel of every frame shows lies at end-diastole.

    Pure: jit- and vmap-able.

    Args:
        anatomy: of the heart.
        motion: of all frames.
        pose: of the heart in the picture.
        side_px: of the frames.

    Returns:
        Heart coordinates in pixels; the same point is the same piece of tissue.
    """
    along = 1.0 * jnp.arange(side_px)
    y, x = jnp.meshgrid(along, along, indexing="ij")

    def frame(number: Array) -> Array:
        now = at_frame(motion, number)
        u, v = heart_coordinates(anatomy, now, pose, x, y)
        return jnp.stack(to_reference(anatomy, now, u, v), -1)

    return jax.lax.map(frame, jnp.arange(len(motion.contraction)))


def volume(anatomy: Anatomy, motion: Motion) -> Float[Array, ""]:
    """Volume of the cavity in this frame in cubic pixels, by stacked disks on the drawn outline."""
    s = (jnp.arange(64, dtype=jnp.float32) + 0.5) / 64
    length = base_position(anatomy, motion) - apex_position(anatomy, motion)
    left, _ = half_widths(anatomy, motion, s, jnp.zeros_like(s))
    right, _ = half_widths(anatomy, motion, s, jnp.ones_like(s))
    return jnp.mean((left + right) ** 2) * (jnp.pi / 4.0) * length
