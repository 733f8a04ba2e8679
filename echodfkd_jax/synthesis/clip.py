"""One clip from one key: anatomy at rest, motion per frame, the scanner's view of it."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int, PRNGKeyArray, UInt8

from echodfkd_jax.synthesis import acquisition, anatomy, motion, valves
from echodfkd_jax.synthesis.acquisition import FRAME_SIZE
from echodfkd_jax.synthesis.draws import Draws

# Changes whenever the same key gives other pixels: data sets made with another one are stale.
VERSION = "3"


class SyntheticClip(NamedTuple):
    """A generated clip and everything that is exactly known about it.

    Attributes:
        frames: uint8 (t, 112, 112).
        mask: bool (t, 112, 112), the left-ventricular cavity.
        fps: frames per second.
        ed_frame: frame of the largest LV area (the earliest of equals).
        es_frame: frame of the smallest LV area.
        edv_ml: volume at `ed_frame` by stacked disks on the drawn outline, in ml.
        esv_ml: volume at `es_frame`.
        ef_percent: 100 * (EDV - ESV) / EDV.
    """

    frames: UInt8[Array, "t h w"]
    mask: Bool[Array, "t h w"]
    fps: Float[Array, ""]
    ed_frame: Int[Array, ""]
    es_frame: Int[Array, ""]
    edv_ml: Float[Array, ""]
    esv_ml: Float[Array, ""]
    ef_percent: Float[Array, ""]


_POSES = 8


def _pose(
    key: PRNGKeyArray, sector: acquisition.Sector, heart: anatomy.Anatomy, still: motion.Motion
) -> motion.Pose:
    """The apex near the probe, the axis pointing down, tilted to either side.

    An examiner moves the probe until the ventricle is in the picture: the first of eight poses is
    taken that shows enough of its outline, which for one clip in six is not all of it.
    """
    k = Draws(key)
    shown_at_least = jnp.where(k.chance(0.17), 0.72, 0.96)
    # A large right heart turns the left one away from it.
    turned = 0.006 * jnp.maximum(heart.rv_depth - 20.0, 0.0)
    poses = motion.Pose(
        apex_x=sector.x + k.normal(-3.0, 4.5, -18.0, 12.0, (_POSES,)) - 10.0 * turned,
        apex_y=jnp.maximum(sector.y + sector.near, 0.0) + k.uniform(5.0, 19.0, (_POSES,)),
        tilt=k.normal(0.14, 0.17, -0.35, 0.65, (_POSES,)) + turned,
    )
    s = jnp.tile((jnp.arange(16) + 0.5) / 16, 2)
    side = jnp.repeat(jnp.arange(2.0), 16)
    half, _ = motion.half_widths(heart, still, s, side)
    u, v = half * (2.0 * side - 1.0), s * heart.length

    def shown(pose: motion.Pose) -> Array:
        x, y = motion.image_coordinates(heart, pose, u, v)
        return jnp.mean(acquisition.in_view(sector, x, y))

    share = jax.vmap(shown)(poses)
    chosen = jnp.argmax(jnp.minimum(share, shown_at_least))
    return jax.tree.map(lambda each: each[chosen], poses)


def _nearest(table: Float[Array, "n n 2"], u: Array, v: Array) -> Float[Array, "d b 2"]:
    """Scatterers of the reference map at heart coordinates; the map's border continues outward."""
    step = anatomy.MAP_EXTENT / anatomy.MAP_SIZE
    column = jnp.clip((u - anatomy.U_MIN) / step, 0, anatomy.MAP_SIZE - 1).astype(jnp.int32)
    row = jnp.clip((v - anatomy.V_MIN) / step, 0, anatomy.MAP_SIZE - 1).astype(jnp.int32)
    flat = table.reshape(-1, 2)
    return jnp.take(flat, row * anatomy.MAP_SIZE + column, axis=0, mode="clip")


def make_clip(key: PRNGKeyArray, *, num_frames: int) -> SyntheticClip:
    """Generates one apical four-chamber clip. Pure: jit- and vmap-able.

    Args:
        key: random key; the same key gives the same clip.
        num_frames: number of frames, static.

    Returns:
        The clip with its exact mask, phases and volumes.
    """
    keys = jax.random.split(key, 11)
    heart = anatomy.sample_anatomy(keys[0])
    movement = motion.sample_motion(keys[1], num_frames)
    leaflets = valves.sample_valves(keys[2])
    sector = acquisition.sample_sector(keys[3])
    scanner = acquisition.sample_scanner(keys[4], sector)
    at_rest = movement._replace(contraction=jnp.zeros(()))
    pose = _pose(keys[5], sector, heart, at_rest)
    markings = acquisition.sample_markings(keys[6], sector)
    level = anatomy.reference_level(keys[7], heart)
    scatterers = anatomy.reflectivity(keys[8], level)
    mm_per_px = Draws(keys[9]).uniform(1.2, 1.8)

    conversion = acquisition.scan_conversion(sector)
    beam_x, beam_y = acquisition.sector_points(sector)
    pixel_y, pixel_x = jnp.meshgrid(
        jnp.arange(FRAME_SIZE) * 1.0, jnp.arange(FRAME_SIZE) * 1.0, indexing="ij"
    )
    gain = jnp.exp(scanner.gain_db * (jnp.log(10.0) / 20.0))[..., None]
    texture = jax.random.normal(keys[10], (2, acquisition.DEPTHS, acquisition.BEAMS, 2))

    def echo(number: Array) -> tuple[motion.Motion, Float[Array, "d b"]]:
        """The heart in one frame, and the level in dB that the scanner receives from it."""
        now = motion.at_frame(movement, number)
        u, v = motion.heart_coordinates(heart, now, pose, beam_x, beam_y)
        u0, v0 = motion.to_reference(heart, now, u, v)
        signal = _nearest(scatterers, u0, v0)
        glint = valves.leaflet_level(leaflets, heart, now, u, v)
        # The leaflets' own scatterers: any fixed field will do.
        signal = signal + texture[0] * jnp.exp(glint * (jnp.log(10.0) / 20.0))[..., None]
        fresh = _fresh_noise(texture, number)
        signal = signal * gain + scanner.clutter * (1.0 + scanner.shimmer * fresh)
        signal = signal + scanner.noise[..., None] * fresh
        return now, acquisition.envelope(scanner, acquisition.beamform(scanner, signal))

    display = acquisition.adjust(scanner, echo(jnp.zeros((), jnp.int32))[1])

    def frame(number: Array) -> tuple[Array, Array, Array]:
        now, received = echo(number)
        image = acquisition.to_image(conversion, acquisition.display(display, received))
        pu, pv = motion.heart_coordinates(heart, now, pose, pixel_x, pixel_y)
        return image, motion.cavity_mask(heart, now, pu, pv), motion.volume(heart, now)

    images, masks, volumes = jax.lax.map(frame, jnp.arange(num_frames))
    previous = jnp.concatenate([images[:1], images[:-1]])
    images = images + scanner.blend * (previous - images)

    def finish(image: Array) -> Array:
        image = acquisition.sharpen(255.0 * jnp.maximum(image, markings), scanner.sharpness)
        image = jnp.clip(image, 0.0, 255.0)
        return acquisition.to_uint8(acquisition.compress(image, scanner.quality))

    areas = jnp.sum(masks, axis=(1, 2))
    ed_frame, es_frame = jnp.argmax(areas), jnp.argmin(areas)
    to_ml = mm_per_px**3 / 1000.0
    edv_ml, esv_ml = volumes[ed_frame] * to_ml, volumes[es_frame] * to_ml
    return SyntheticClip(
        frames=jax.vmap(finish)(images),
        mask=masks,
        fps=movement.fps,
        ed_frame=ed_frame.astype(jnp.int32),
        es_frame=es_frame.astype(jnp.int32),
        edv_ml=edv_ml,
        esv_ml=esv_ml,
        ef_percent=100.0 * (edv_ml - esv_ml) / edv_ml,
    )


def _fresh_noise(texture: Float[Array, "2 d b 2"], number: Array) -> Float[Array, "d b 2"]:
    """Noise that differs between frames: a stored field moved by steps without a short period."""
    rolled = jnp.roll(texture[1], (number * 37 + 11) % acquisition.DEPTHS, axis=0)
    return jnp.roll(rolled, (number * 23 + 5) % acquisition.BEAMS, axis=1)
