"""From recorded frames to what is learnt from, and back: pixels, frame rate, windows.

EchoNet-Synthetic's rules; a clip is resampled to 32 frames per second by leaving out or repeating
frames, and learnt from in windows of two seconds.
"""

from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Float32, Int64, UInt8

from echodfkd_jax.errors import UserError

FPS = 32.0
# Half of the grey values: 0 becomes -1, and 255 a little less than 1.
_HALF_RANGE = 128.0


def to_signal(frames: UInt8[Array, "*pixels"]) -> Float32[Array, "*pixels"]:
    """Grey values as -1 to 1."""
    return frames.astype(jnp.float32) / _HALF_RANGE - 1


def to_grey(signal: Float[Array, "*pixels"]) -> UInt8[Array, "*pixels"]:
    """-1 to 1 as grey values: clamped and, as published, truncated."""
    return jnp.clip((signal + 1) * _HALF_RANGE, 0, 255).astype(jnp.uint8)


def resample(num_frames: int, fps: float, wanted: float = FPS) -> Int64[np.ndarray, "n"]:
    """Which frames of a clip make one of another frame rate.

    Args:
        num_frames: of the clip.
        fps: its frames per second.
        wanted: frames per second.

    Returns:
        Indices, evenly spaced from the first frame and rounded, half to even.

    Raises:
        UserError: a frame rate that cannot be.
    """
    if not (fps > 0 and np.isfinite(fps)):
        raise UserError(f"{fps} frames per second: expected a number above 0")
    count = int(wanted / fps * num_frames)
    return np.round(np.linspace(0, num_frames, count, endpoint=False)).astype(np.int64)


class Window(NamedTuple):
    """Which frames of a clip are learnt from.

    Attributes:
        indices: (t,), of the clip's frames; 0 for what is past its end, to be filled with zeros.
        count: how many are there, from the first on.
    """

    indices: Int64[np.ndarray, "t"]
    count: int


def window_of(
    rng: np.random.Generator,
    indices: Int64[np.ndarray, "n"],
    num_frames: int,
    length: int,
    *,
    published: bool = False,
) -> Window:
    """A random window of a resampled clip.

    Args:
        rng: decides the start, and a shift by less than the step between two frames, so that the
            frames that resampling leaves out are seen too.
        indices: see `resample`.
        num_frames: of the clip that they are of.
        length: frames of the window.
        published: the last possible start is never drawn.
    """
    step = max(int(indices[1]), 1) if len(indices) > 1 else 1
    indices = indices + rng.integers(0, step)
    last = max(len(indices) - length, 0)
    start = int(rng.integers(0, max(last, 1) if published else last + 1))
    window = indices[start : start + length]
    # The shift may lead past the end.
    window = window[window < num_frames]
    return Window(np.pad(window, (0, length - len(window))), len(window))
