"""Frames as the image tower wants them, equal to Pillow's resize to the pixel.

open_clip resizes 8-bit images with Pillow: bicubic (a = -0.5), antialiased, one pass per axis,
each pass rounded to 8 bits, in 22-bit fixed point. The same integers are computed here, so that the
whole way from uint8 frames to embeddings is one compiled function.
"""

import functools
import math

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float32, Int, UInt8

from echodfkd_jax.echoclip.architecture import ECHOCLIP

_PRECISION_BITS = 22  # Pillow's Resample.c: 32 - 8 bits of the pixel - 2 of head room
_SUPPORT_PX = 2.0  # half width of the bicubic kernel


def preprocess(
    frames: UInt8[Array, "n h w"],
    size: int = ECHOCLIP.image_size_px,
    mean: tuple[float, float, float] = ECHOCLIP.mean,
    std: tuple[float, float, float] = ECHOCLIP.std,
) -> Float32[Array, "n size size 3"]:
    """Resizes the short side to `size`, crops the centre and normalises; jit-able.

    Args:
        frames: grey frames of any height and width.
        size: side of the result in pixels.
        mean: of red, green and blue, on the scale 0..1.
        std: of red, green and blue.

    Returns:
        The grey value in all three channels, (value / 255 - mean) / std.
    """
    pixels = resize_and_crop(frames, size).astype(jnp.float32)[..., None] / 255
    return (pixels - np.asarray(mean, np.float32)) / np.asarray(std, np.float32)


def resize_and_crop(frames: UInt8[Array, "n h w"], size: int) -> UInt8[Array, "n size size"]:
    """The short side resized to `size` and the centre of the long one, as torchvision does."""
    height, width = frames.shape[1:]
    short = min(height, width)
    new_height = size if height == short else int(size * height / short)
    new_width = size if width == short else int(size * width / short)
    # Width first, as Pillow 11 does; Pillow 13 begins with the height of tall images where that is
    # less work, which moves some of their pixels by a few grey levels.
    frames = _resize_last_axis(frames, new_width)
    frames = _resize_last_axis(frames.swapaxes(1, 2), new_height).swapaxes(1, 2)
    top = round((new_height - size) / 2)
    left = round((new_width - size) / 2)
    return frames[:, top : top + size, left : left + size]


def _resize_last_axis(frames: UInt8[Array, "n h w"], size: int) -> UInt8[Array, "n h size"]:
    if frames.shape[-1] == size:
        return frames
    positions, weights = _taps(frames.shape[-1], size)
    values = frames.astype(jnp.int32)
    total = jnp.full((*frames.shape[:-1], size), 1 << (_PRECISION_BITS - 1), jnp.int32)
    for position, weight in zip(positions.T, weights.T):
        # Indices are in range by construction; "clip" spares XLA the masking of the default.
        total += jnp.take(values, position, axis=-1, mode="clip") * weight
    return jnp.clip(jax.lax.shift_right_arithmetic(total, _PRECISION_BITS), 0, 255).astype(
        jnp.uint8
    )


@functools.cache
def _taps(old: int, new: int) -> tuple[Int[np.ndarray, "new k"], Int[np.ndarray, "new k"]]:
    """Which of `old` pixels make each of `new` ones, and their fixed-point weights.

    Taps beyond the border have weight 0 and an index that is in range.
    """
    scale = old / new
    filter_scale = max(scale, 1.0)  # below 1 (enlarging) the kernel keeps its width
    support = _SUPPORT_PX * filter_scale
    num_taps = math.ceil(support) * 2 + 1
    positions = np.zeros((new, num_taps), np.int32)
    weights = np.zeros((new, num_taps), np.int32)
    for index in range(new):
        centre = (index + 0.5) * scale
        first = max(int(centre - support + 0.5), 0)
        stop = min(int(centre + support + 0.5), old)
        taps = [_bicubic((x - centre + 0.5) / filter_scale) for x in range(first, stop)]
        total = sum(taps)
        for tap, value in enumerate(taps):
            fixed = value / total * (1 << _PRECISION_BITS)
            positions[index, tap] = first + tap
            weights[index, tap] = int(fixed + math.copysign(0.5, fixed))
    return positions, weights


def _bicubic(x: float) -> float:
    """Keys' cubic convolution kernel with a = -0.5."""
    a = -0.5
    x = abs(x)
    if x < 1:
        return ((a + 2) * x - (a + 3)) * x * x + 1
    if x < 2:
        return (((x - 5) * x + 8) * x - 4) * a
    return 0.0
