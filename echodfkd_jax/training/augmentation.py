"""Random changes of a clip and its mask, made on the device inside the training step.

Everything is a function of one key per clip, so a run that goes on draws what it would have drawn,
on however many devices. Strengths are in `AugmentSettings`; what is off is not computed.

What moves the picture moves the mask by the same bilinear weights, so the soft mask stays exactly
that of the moved picture; what falls outside the frame is black. What changes grey values, and the
cut of the sector, leave the mask as it is: like those of the generator and of human tracings, it
outlines the whole ventricle, seen or not.
"""

from collections.abc import Callable, Sequence

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, Key, UInt8

from echodfkd_jax.settings import AugmentSettings

# Angle between the middle of a sector and its edge, before anything is cut.
SECTOR_HALF_DEGREES = 45.0
# Draws, in the order of the keys that they take.
_DRAWS = ("stride", "sector", "move", "speckle", "noise", "blur", "gain", "gamma", "still", "veil")

Rows = Int[Array, "b"]
# Step, rows of the clips, what `Input.expand` gives, which frames of a window the network sees and
# which it outlines -> the same, changed, with targets of the latter alone.
Augment = Callable[
    [Int[Array, ""], Rows, dict[str, jax.Array], Sequence[int], Sequence[int]],
    dict[str, jax.Array],
]


def make_augment(settings: AugmentSettings, seed: int) -> Augment | None:
    """Returns a pure `augment(step, rows, data, seen, outlined)`; None: all is off.

    Args:
        settings: how strong each change may be.
        seed: of the run.
    """
    if settings == AugmentSettings():
        return None

    def augment(
        step: Int[Array, ""],
        rows: Rows,
        data: dict[str, jax.Array],
        seen: Sequence[int],
        outlined: Sequence[int],
    ) -> dict[str, jax.Array]:
        def change(*clip: jax.Array) -> tuple[jax.Array, jax.Array]:
            return augment_clip(*clip, settings=settings, seen=seen, outlined=outlined)

        keys = clip_keys(seed, step, rows)
        video, target = jax.vmap(change)(keys, data["video"][..., 0], data["target"])
        return {**data, "video": video[..., None], "target": target}

    return augment


def clip_keys(seed: int, step: Int[Array, ""], rows: Rows) -> Key[Array, "b"]:
    """A key for each clip of a batch, of the run's seed, the step and the clip's row.

    Args:
        seed: of the run.
        step: steps taken before.
        rows: places of the clips in the batch of all devices.
    """
    key = jax.random.fold_in(jax.random.key(seed), step)
    return jax.vmap(jax.random.fold_in, in_axes=(None, 0))(key, rows)


def rows_of_device(
    count: int, *, micro_batches: int, device: Int[Array, ""] | int, num_devices: int
) -> Int[Array, "count"]:
    """Places in the whole batch of one device's clips, as `Parallel.shard` gives them out.

    Args:
        count: clips of the device.
        micro_batches: in which the batch is computed, each divided over the devices.
        device: this one's number.
        num_devices: of all.
    """
    each = count // micro_batches
    part, place = jnp.divmod(jnp.arange(count), each)
    return (part * num_devices + device) * each + place


def augment_clip(
    key: Key[Array, ""],
    video: UInt8[Array, "t h w"],
    target: UInt8[Array, "t h w s"],
    *,
    settings: AugmentSettings,
    seen: Sequence[int],
    outlined: Sequence[int],
) -> tuple[UInt8[Array, "t h w"], UInt8[Array, "n h w s"]]:
    """Changes one clip: its pace, its sector, its place in the frame, then its grey values.

    Args:
        key: of all that is drawn.
        video: grey frames.
        target: soft masks, 255 * probability.
        settings: how strong each change may be.
        seen: numbers of the frames that a network will look at; nothing is computed for the
            others, which come out black.
        outlined: those whose targets are needed.
    """
    keys = dict(zip(_DRAWS, jax.random.split(key, len(_DRAWS)), strict=True))
    if settings.max_stride > 1:
        stride = jax.random.randint(keys["stride"], (), 1, settings.max_stride + 1)
        video, target = quicken(video, stride), quicken(target, stride)
    if settings.still:
        stands = jax.random.uniform(keys["still"]) < settings.still
        # At a frame whose mask is there.
        at = jnp.array(outlined[:1])
        video, target = (jnp.where(stands, each[at], each) for each in (video, target))
    shown, target = video[jnp.array(seen)], target[jnp.array(outlined)]
    grey = shown.astype(jnp.float32)
    _, height, width = grey.shape
    if settings.sector_degrees:
        cut = settings.sector_degrees * jax.random.uniform(keys["sector"], (2,))
        grey = jnp.where(sector(height, width, SECTOR_HALF_DEGREES - cut), grey, 0.0)
    if settings.shift or settings.rotation_degrees or settings.scale:
        matrix, offset = _draw_movement(keys["move"], (height, width), settings)
        grey = resample(grey, matrix, offset)
        masks = jnp.moveaxis(target, -1, 0).astype(jnp.float32)
        moved = jax.vmap(lambda mask: resample(mask, matrix, offset))(masks)
        target = jnp.moveaxis(_to_uint8(moved), 0, -1)
    if settings.speckle:
        strength = settings.speckle * jax.random.uniform(keys["speckle"])
        grey = grey * (1 + strength * jax.random.normal(keys["noise"], grey.shape))
    if settings.blur_px:
        grey = blur(grey, settings.blur_px * jax.random.uniform(keys["blur"]))
    if settings.gamma:
        exponent = 2 ** (settings.gamma * _symmetric(keys["gamma"]))
        grey = 255 * jnp.power(jnp.clip(grey / 255, 0, 1), exponent)
    if settings.veil:
        # Every other clip, and only where the scanner shows anything: outside it is black.
        share = jnp.maximum(settings.veil * _symmetric(keys["veil"]), 0.0)
        lit = blur(1.0 * jnp.any(grey > 12, axis=0, keepdims=True), 1.5)
        grain = 1 + 0.5 * jax.random.normal(jax.random.fold_in(keys["veil"], 1), grey.shape)
        grey = grey + share * (255 - grey) * lit * grain
    if settings.gain:
        grey = grey * 2 ** (settings.gain * _symmetric(keys["gain"]))
    return jnp.zeros_like(video).at[jnp.array(seen)].set(_to_uint8(grey)), target


def quicken(frames: UInt8[Array, "t ..."], stride: Int[Array, ""] | int) -> UInt8[Array, "t ..."]:
    """Every `stride`-th frame, as many as there were.

    At the end of the clip it is played backwards, and forwards again at its start: only frames that
    are there are shown, each with its own mask.
    """
    last = frames.shape[0] - 1
    if last == 0:
        return frames
    phase = (jnp.arange(frames.shape[0]) * stride) % (2 * last)
    return frames[jnp.minimum(phase, 2 * last - phase)]


def sector(height: int, width: int, half_degrees: Float[Array, "2"]) -> Array:
    """Pixels between two rays from the middle of the upper edge.

    Args:
        height: in pixels.
        width: in pixels.
        half_degrees: of the left and of the right ray, against the vertical.

    Returns:
        bool (height, width).
    """
    y, x = jnp.mgrid[:height, :width]
    degrees = jnp.degrees(jnp.arctan2(x - (width - 1) / 2, y + 0.5))
    return (degrees >= -half_degrees[0]) & (degrees <= half_degrees[1])


def resample(
    frames: Float[Array, "t h w"], matrix: Float[Array, "2 2"], offset: Float[Array, "2"]
) -> Float[Array, "t h w"]:
    """Moves all frames alike, with bilinear interpolation.

    Args:
        frames: of any values.
        matrix: maps a place of the result to one of `frames`, both (y, x) from the frame's middle.
        offset: added to it, in pixels.

    Returns:
        Frames of the same shape; 0 where they show what was outside.
    """
    _, height, width = frames.shape
    middle = jnp.array([(height - 1) / 2, (width - 1) / 2])
    place = jnp.stack(jnp.mgrid[:height, :width]).astype(jnp.float32) - middle[:, None, None]
    # Written out: a matrix product may be rounded to 16 bits on an accelerator.
    source = sum(matrix[:, i, None, None] * place[i] for i in range(2))
    source = source + (offset + middle)[:, None, None]
    corner = jnp.floor(source)
    part_y, part_x = source - corner
    top, left = corner.astype(jnp.int32)
    moved = jnp.zeros_like(frames)
    for down, weight_y in ((0, 1 - part_y), (1, part_y)):
        for right, weight_x in ((0, 1 - part_x), (1, part_x)):
            y, x = top + down, left + right
            inside = (y >= 0) & (y < height) & (x >= 0) & (x < width)
            weight = jnp.where(inside, weight_y * weight_x, 0.0)
            moved += weight * frames[:, jnp.clip(y, 0, height - 1), jnp.clip(x, 0, width - 1)]
    return moved


def blur(
    frames: Float[Array, "t h w"], deviation_px: Float[Array, ""] | float
) -> Float[Array, "t h w"]:
    """Gaussian blur of every frame; at an edge the part of the Gaussian inside counts.

    Args:
        frames: of any values.
        deviation_px: of the Gaussian; 0 leaves the frames as they are.
    """

    def weights(size: int) -> Float[Array, "n n"]:
        apart = jnp.arange(size)[:, None] - jnp.arange(size)
        gaussian = jnp.exp(-0.5 * (apart / jnp.maximum(deviation_px, 1e-3)) ** 2)
        return gaussian / gaussian.sum(axis=1, keepdims=True)

    _, height, width = frames.shape
    down = jnp.einsum("ij,tjw->tiw", weights(height), frames, precision="highest")
    return jnp.einsum("ij,thj->thi", weights(width), down, precision="highest")


def movement(
    *,
    degrees: Float[Array, ""] | float,
    factor: Float[Array, ""] | float,
    shift_px: Float[Array, "2"],
) -> tuple[Float[Array, "2 2"], Float[Array, "2"]]:
    """What `resample` takes to enlarge and turn a picture around its middle, then to shift it.

    Args:
        degrees: from the y axis (down) towards the x axis (right).
        factor: above 1 it gets larger.
        shift_px: (down, right).
    """
    angle = jnp.radians(degrees)
    sine, cosine = jnp.sin(angle), jnp.cos(angle)
    # The inverse: where a pixel of the result comes from.
    matrix = jnp.array([[cosine, sine], [-sine, cosine]]) / factor
    offset = -(matrix[:, 0] * shift_px[0] + matrix[:, 1] * shift_px[1])
    return matrix, offset


def _draw_movement(
    key: Key[Array, ""], shape: tuple[int, int], settings: AugmentSettings
) -> tuple[Float[Array, "2 2"], Float[Array, "2"]]:
    turn, zoom, shift = jax.random.split(key, 3)
    return movement(
        degrees=settings.rotation_degrees * _symmetric(turn),
        factor=2 ** (settings.scale * _symmetric(zoom)),
        shift_px=settings.shift * _symmetric(shift, (2,)) * jnp.array(shape, jnp.float32),
    )


def _symmetric(key: Key[Array, ""], shape: tuple[int, ...] = ()) -> Array:
    return jax.random.uniform(key, shape, minval=-1.0, maxval=1.0)


def _to_uint8(values: Float[Array, "..."]) -> UInt8[Array, "..."]:
    return jnp.round(jnp.clip(values, 0, 255)).astype(jnp.uint8)
