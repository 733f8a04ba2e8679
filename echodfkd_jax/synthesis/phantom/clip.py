"""One clip from one key: anatomy at rest, motion per frame, the scanner's view of it."""

from collections.abc import Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int, PRNGKeyArray, UInt8

from echodfkd_jax.synthesis.phantom import acquisition, anatomy, chambers, motion, tissue, valves
from echodfkd_jax.synthesis.phantom.acquisition import FRAME_SIZE
from echodfkd_jax.synthesis.phantom.chambers import STRUCTURES
from echodfkd_jax.synthesis.phantom.decibels import NEPER, amplitude
from echodfkd_jax.synthesis.phantom.draws import Draws
from echodfkd_jax.synthesis.phantom.window import Window, by_window, sample_darkness, sample_window

# Changes whenever the same key gives other pixels: data sets made with another one are stale.
VERSION = "10"
# Share of poor windows among training clips; as many are fair. What is learned from them holds on
# real clips; what is measured, on validation and test clips, is measured through clear ones.
TRAINING_POOR_WINDOWS = 0.4


class SyntheticClip(NamedTuple):
    """A generated clip and everything that is exactly known about it.

    Attributes:
        frames: uint8 (t, 112, 112).
        mask: bool (t, 112, 112), the left-ventricular cavity.
        structures: bool (t, 112, 112, 5), the structures that `STRUCTURES` names, the cavity first;
            no two overlap.
        fps: frames per second.
        ed_frame: frame of the largest LV area (the earliest of equals).
        es_frame: frame of the smallest LV area.
        edv_ml: volume at `ed_frame` by stacked disks on the drawn outline, in ml.
        esv_ml: volume at `es_frame`.
        ef_percent: 100 * (EDV - ESV) / EDV.
    """

    frames: UInt8[Array, "t h w"]
    mask: Bool[Array, "t h w"]
    structures: Bool[Array, "t h w s"]
    fps: Float[Array, ""]
    ed_frame: Int[Array, ""]
    es_frame: Int[Array, ""]
    edv_ml: Float[Array, ""]
    esv_ml: Float[Array, ""]
    ef_percent: Float[Array, ""]


_POSES = 8
# A window is cut out of a clip of so many frames, in which a beat of a usual heart fits.
LONG_FRAMES = 64


def _pose(
    k: Draws, sector: acquisition.Sector, heart: anatomy.Anatomy, still: motion.Motion
) -> motion.Pose:
    """The apex near the probe, the axis pointing down, tilted to either side.

    An examiner moves the probe until the ventricle is in the picture: the first of eight poses is
    taken that shows enough of its outline, which for one clip in six is not all of it.
    """
    shown_at_least = jnp.where(k.chance(0.17), 0.72, 0.96)
    # A large right heart turns the left one away from it.
    turned = 0.009 * jnp.maximum(heart.rv_depth - 20.0, 0.0)
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


def readable(
    scanner: acquisition.Scanner,
    sector: acquisition.Sector,
    heart: anatomy.Anatomy,
    levels: tissue.Tissue,
    pose: motion.Pose,
    still: motion.Motion,
    window: Window,
) -> acquisition.Scanner:
    """The scanner with so little clutter and noise that a reader finds half of the wall.

    Nobody keeps a clip in which the ventricle cannot be made out.
    """
    s = jnp.tile((jnp.arange(16) + 0.5) / 16, 2)
    side = jnp.repeat(jnp.arange(2), 16)
    half, _ = motion.half_widths(heart, still, s, 1.0 * side)
    u = (half + heart.gap[side] + 0.5 * heart.wall[side]) * (2.0 * side - 1.0)
    x, y = motion.image_coordinates(heart, pose, u, s * heart.length)
    row, column = acquisition.nearest_sample(sector, x, y)
    power = jnp.sum(scanner.clutter**2, axis=-1) + 2.0 * scanner.noise**2
    patches = (acquisition.DEPTHS // 4, 4, acquisition.BEAMS // 4, 4)
    power = jnp.mean(power.reshape(patches), axis=(1, 3))[row // 4, column // 4]
    wall_db = jnp.stack([levels.septal, levels.lateral])[side]
    margin = wall_db + scanner.gain_db[row, column] - 0.5 * NEPER * jnp.log(power + 1e-9)
    # At least half of the wall outshines the clutter before it by so much, in dB.
    wanted = by_window(window, clear=10.0, fair=4.0, poor=4.0)
    less = amplitude(jnp.minimum(jnp.median(margin) - wanted, 0.0))
    return scanner._replace(clutter=scanner.clutter * less, noise=scanner.noise * less)


def _cell(u: Array, v: Array) -> Array:
    """Number of the reference map's cell at heart coordinates; its border continues outward."""
    step = anatomy.MAP_EXTENT / anatomy.MAP_SIZE
    column = jnp.clip((u - anatomy.U_MIN) / step, 0, anatomy.MAP_SIZE - 1).astype(jnp.int32)
    row = jnp.clip((v - anatomy.V_MIN) / step, 0, anatomy.MAP_SIZE - 1).astype(jnp.int32)
    return row * anatomy.MAP_SIZE + column


class Scene(NamedTuple):
    """Everything that was drawn for one clip, before a pixel is made."""

    heart: anatomy.Anatomy
    others: chambers.Chambers
    levels: tissue.Tissue
    movement: motion.Motion
    leaflets: valves.Valves
    sector: acquisition.Sector
    scanner: acquisition.Scanner
    pose: motion.Pose
    markings: Float[Array, "h w"]
    mm_per_px: Float[Array, ""]
    level_key: PRNGKeyArray
    scatterer_key: PRNGKeyArray
    noise_key: PRNGKeyArray


def sample_scene(
    key: PRNGKeyArray, *, num_frames: int, poor_windows: Float[Array, ""] | float = 0.0
) -> Scene:
    """Draws the heart, its motion, the scanner and the pose of one clip; see `make_clip`."""
    keys = jax.random.split(key, 4)
    k = Draws(keys[0])
    window = sample_window(k, poor_windows)
    heart = anatomy.sample_anatomy(k, window)
    movement = motion.sample_motion(k, num_frames)
    sector = acquisition.sample_sector(k)
    at_rest = movement._replace(contraction=jnp.zeros(()))
    darkness = sample_darkness(k)
    levels = tissue.sample_tissue(k, window, darkness)
    pose = _pose(k, sector, heart, at_rest)
    scanner = acquisition.sample_scanner(k, window, darkness)
    return Scene(
        heart=heart,
        others=chambers.sample_chambers(k, heart),
        levels=levels,
        movement=movement,
        leaflets=valves.sample_valves(k, window, darkness),
        sector=sector,
        scanner=readable(scanner, sector, heart, levels, pose, at_rest, window),
        pose=pose,
        markings=acquisition.sample_markings(k, sector),
        mm_per_px=k.uniform(1.2, 1.8),
        level_key=keys[1],
        scatterer_key=keys[2],
        noise_key=keys[3],
    )


def make_clip(
    key: PRNGKeyArray, *, num_frames: int, poor_windows: Float[Array, ""] | float = 0.0
) -> SyntheticClip:
    """Generates one apical four-chamber clip. Pure: jit- and vmap-able.

    Args:
        key: random key; the same key gives the same clip.
        num_frames: number of frames, static.
        poor_windows: probability that the heart is seen through a poor window: haze, fog, gaps in
            the wall or no border at all, misleading steps of the gain. A fair window, with less of
            it, is as probable; all others are clear. At most 0.5.

    Returns:
        The clip with its exact mask, phases and volumes.
    """
    return render(sample_scene(key, num_frames=num_frames, poor_windows=poor_windows))


def make_window(
    key: PRNGKeyArray,
    *,
    num_frames: int,
    shown: Sequence[int] | None = None,
    outlined: Sequence[int] | None = None,
    phases: Float[Array, ""] | float = 0.0,
    poor_windows: Float[Array, ""] | float = 0.0,
) -> SyntheticClip:
    """Generates some consecutive frames of a longer clip, or a few of them. Pure.

    No beat has to be over within the window: hearts are as slow as in long clips, at the cost of
    the frames that are shown.

    Args:
        key: random key; the same key gives the same window.
        num_frames: of the window, static, at most 64.
        shown: numbers of the frames that are made, from 0, static; None: all. Where some are left
            out, none carries a part of the one before, which many scanners lay over it.
        outlined: numbers of those whose masks are made, static; None: of all that are shown.
        phases: probability that end-diastole or end-systole is in the middle; else any moment.
        poor_windows: see `make_clip`.

    Returns:
        The shown frames, and masks, phases and volumes of the outlined ones.
    """
    scene_key, middle_key = jax.random.split(key)
    scene = sample_scene(scene_key, num_frames=LONG_FRAMES, poor_windows=poor_windows)
    k = Draws(middle_key)
    last_start = LONG_FRAMES - num_frames
    middle = slice(num_frames // 2, num_frames // 2 + last_start + 1)
    contraction = scene.movement.contraction[middle]
    phase = jnp.where(k.chance(0.5), jnp.argmin(contraction), jnp.argmax(contraction))
    any_start = jnp.floor(k.uniform(0.0, last_start + 1.0)).astype(jnp.int32)
    start = jnp.where(k.chance(phases), phase, jnp.minimum(any_start, last_start))
    if shown is not None and len(shown) < num_frames:
        scene = scene._replace(scanner=scene.scanner._replace(blend=jnp.zeros(())))
    numbers = jnp.arange(num_frames) if shown is None else jnp.asarray(shown)
    return render(
        scene, start + numbers, None if outlined is None else start + jnp.asarray(outlined)
    )


def render(
    scene: Scene, numbers: Int[Array, "n"] | None = None, outlined: Int[Array, "m"] | None = None
) -> SyntheticClip:
    """Films a scene. Pure: jit- and vmap-able.

    Args:
        scene: as drawn.
        numbers: of the frames that are made; None: all.
        outlined: of those whose masks are made; None: the same.
    """
    heart, movement, sector, scanner = scene.heart, scene.movement, scene.sector, scene.scanner
    leaflets, pose = scene.leaflets, scene.pose
    if numbers is None:
        numbers = jnp.arange(len(movement.contraction))
    outlined = numbers if outlined is None else outlined
    place = anatomy.places(heart)
    level = tissue.echo_level(scene.level_key, heart, scene.levels, scene.others, place)
    scatterers = tissue.reflectivity(scene.scatterer_key, level).reshape(-1, 2)
    labels = chambers.labels(place, heart, scene.others).reshape(-1)
    conversion = acquisition.scan_conversion(sector)
    beam_x, beam_y = acquisition.sector_points(sector)
    pixel_y, pixel_x = jnp.meshgrid(
        jnp.arange(FRAME_SIZE) * 1.0, jnp.arange(FRAME_SIZE) * 1.0, indexing="ij"
    )
    gain = amplitude(scanner.gain_db)[..., None]
    texture = jax.random.normal(scene.noise_key, (2, acquisition.DEPTHS, acquisition.BEAMS, 2))

    def echo(number: Array) -> Float[Array, "d b"]:
        """The level in dB that the scanner receives from the heart in one frame."""
        now = motion.at_frame(movement, number)
        u, v = motion.heart_coordinates(heart, now, pose, beam_x, beam_y)
        u0, v0 = motion.to_reference(heart, now, u, v)
        signal = jnp.take(scatterers, _cell(u0, v0), axis=0, mode="clip")
        glint = valves.leaflet_level(leaflets, heart, now, u, v)
        # The leaflets' own scatterers: any fixed field will do.
        signal = signal + texture[0] * amplitude(glint)[..., None]
        fresh = _fresh_noise(texture, number)
        signal = signal * gain + scanner.clutter * (1.0 + scanner.shimmer * fresh)
        signal = signal + scanner.noise[..., None] * fresh
        return acquisition.envelope(scanner, acquisition.beamform(scanner, signal))

    shown = 1.0 * acquisition.in_view(sector, beam_x, beam_y)
    display = acquisition.adjust(scanner, echo(numbers[0]), shown)

    def frame(number: Array) -> Array:
        return acquisition.to_image(conversion, acquisition.display(display, echo(number)))

    def outline(number: Array) -> tuple[Array, Array]:
        now = motion.at_frame(movement, number)
        pu, pv = motion.heart_coordinates(heart, now, pose, pixel_x, pixel_y)
        label = jnp.take(labels, _cell(*motion.to_reference(heart, now, pu, pv)), mode="clip")
        cavity = motion.cavity_mask(heart, now, pu, pv)
        others = (label[..., None] == jnp.arange(1, len(STRUCTURES))) & ~cavity[..., None]
        structures = jnp.concatenate([cavity[..., None], others], axis=-1)
        return structures, motion.volume(heart, now)

    structures, volumes = jax.lax.map(outline, outlined)
    return _labelled(scene, _finished(scene, jax.lax.map(frame, numbers)), structures, volumes)


def _finished(scene: Scene, images: Float[Array, "n h w"]) -> UInt8[Array, "n h w"]:
    """What a scanner stores of images, 0 to 1, one after the other."""
    scanner = scene.scanner
    previous = jnp.concatenate([images[:1], images[:-1]])
    images = images + scanner.blend * (previous - images)

    def finish(image: Array) -> Array:
        image = acquisition.sharpen(255.0 * jnp.maximum(image, scene.markings), scanner.sharpness)
        image = jnp.clip(image, 0.0, 255.0)
        return acquisition.to_uint8(acquisition.compress(image, scanner.quality))

    return jax.vmap(finish)(images)


def _labelled(
    scene: Scene,
    frames: UInt8[Array, "n h w"],
    structures: Bool[Array, "m h w s"],
    volumes: Float[Array, "m"],
) -> SyntheticClip:
    """Frames and masks with the phases and volumes that the masks have."""
    masks = structures[..., 0]
    areas = jnp.sum(masks, axis=(1, 2))
    ed_frame, es_frame = jnp.argmax(areas), jnp.argmin(areas)
    to_ml = scene.mm_per_px**3 / 1000.0
    edv_ml, esv_ml = volumes[ed_frame] * to_ml, volumes[es_frame] * to_ml
    return SyntheticClip(
        frames=frames,
        mask=masks,
        structures=structures,
        fps=scene.movement.fps,
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
