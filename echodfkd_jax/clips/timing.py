"""When the frames of a clip were taken: a constant rate, or a time for each of them."""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Float64

Times = Float64[np.ndarray, "t"]
# Frames are evenly spaced when none is off an even grid by more than this part of its step: files
# round times to milliseconds, or to hundredths of a second.
_EVEN_WITHIN = 0.3
# A rate in a header is taken where the times agree with it: it is rounded less.
_AGREES_WITHIN = 0.01


class Timing(NamedTuple):
    """When frames were taken.

    Attributes:
        fps: frames per second, over the clip; nan when unknown.
        times_s: of every frame, from the first; None when they are evenly spaced, or unknown.
    """

    fps: float
    times_s: Times | None = None


UNKNOWN = Timing(math.nan)


def from_times(times_s: Sequence[float | None], header_fps: float = math.nan) -> Timing:
    """What times of frames say.

    Args:
        times_s: of every frame, in seconds; None for a frame without one.
        header_fps: what the file says besides; nan when it says nothing. It is taken where times
            are missing or do not ascend, and where they agree with it.
    """
    if len(times_s) < 2 or any(time is None for time in times_s):
        return Timing(header_fps)
    times = np.array(times_s, np.float64)
    times -= times[0]
    if not np.isfinite(times).all() or np.diff(times).min() <= 0:
        return Timing(header_fps)
    step = times[-1] / (len(times) - 1)
    fps = 1 / step if step > 0 else math.inf
    if np.abs(times - step * np.arange(len(times))).max() > _EVEN_WITHIN * step:
        return Timing(fps, times)
    agrees = abs(header_fps - fps) <= _AGREES_WITHIN * fps
    return Timing(header_fps if agrees else fps)


def from_steps(steps_ms: Sequence[float]) -> Timing:
    """The same from the milliseconds between each two neighbours."""
    times_s = [0.0, *(np.cumsum(np.asarray(steps_ms, np.float64)) / 1000).tolist()]
    total_ms = math.fsum(steps_ms)
    return from_times(times_s, 1000 * len(steps_ms) / total_ms if total_ms > 0 else math.nan)
