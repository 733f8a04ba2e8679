"""Heart beats in the area of the left ventricle over time, without any reference frame."""

import math
from typing import NamedTuple

import numpy as np
import scipy.ndimage
import scipy.signal
from jaxtyping import Float, Float64, Shaped

# Beats last 0.3 to 2 s: heart rates of 200 to 30 a minute.
SHORTEST_S, LONGEST_S = 0.3, 2.0
# Without a frame rate, this many frames at least; the slowest recordings have 18 frames a second.
SHORTEST_FRAMES = 6
# A repetition counts when the curve follows itself at least so well.
MIN_PERIODICITY = 0.3
# Of a clip's own range (5th to 95th percentile), what a contraction has to reach at least; a third
# heart sound or an atrial kick stays below.
PROMINENCE = 0.35
# Below this range, relative to the mean area, a curve is flat: nothing beats.
MIN_RANGE = 0.04
# Below this range, relative to the deviation from the smoothed curve, it is noise.
MIN_RANGE_TO_NOISE = 4.0
# After the last contraction, this part of the lost area has to come back to call it a beat.
MIN_REFILLING = 0.8


class Beat(NamedTuple):
    """One contraction.

    Attributes:
        ed_frame: largest area before it.
        es_frame: least area.
    """

    ed_frame: int
    es_frame: int


class Beats(NamedTuple):
    """All contractions of a clip.

    Attributes:
        beats: in order of time.
        length_frames: of a beat, from the autocorrelation; nan when the clip is too short or the
            curve does not repeat itself.
        periodicity: how well the curve follows itself after one beat, 0..1; 0 when unknown.
        whole_beat: whether the clip shows one whole beat, from one end-diastole to the next.
    """

    beats: tuple[Beat, ...]
    length_frames: float
    periodicity: float
    whole_beat: bool


def find_beats(area: Shaped[np.ndarray, "t"], fps: float = math.nan) -> Beats:
    """Finds every end-systole with the end-diastole before it.

    End-systoles are minima of the smoothed area that reach far enough down in this clip and are at
    least a third of a beat apart. End-diastole is the largest area since the end-systole before.
    The first contraction is left out if the clip began after its end-diastole, the last one if
    the clip ends before the area rises again.

    Args:
        area: pixels (or a volume) per frame.
        fps: frames per second; nan when unknown.

    Returns:
        No beats for a curve that is flat or shorter than a beat.
    """
    area = np.asarray(area, np.float64)
    if len(area) < SHORTEST_FRAMES:
        return Beats((), math.nan, 0.0, whole_beat=False)
    shortest = SHORTEST_S * fps if math.isfinite(fps) and fps > 0 else float(SHORTEST_FRAMES)
    length, periodicity = beat_length(area, fps)
    smooth = scipy.ndimage.gaussian_filter1d(area, max(shortest / 10, 0.8))
    low, high = np.percentile(smooth, [5, 95])
    least = max(MIN_RANGE * abs(float(area.mean())), MIN_RANGE_TO_NOISE * (area - smooth).std())
    if high - low <= least:
        return Beats((), math.nan, 0.0, whole_beat=False)
    # Beats differ in length, those of an irregular heart by half.
    apart = shortest if math.isnan(length) else max(length / 3, shortest)
    drop = PROMINENCE * (high - low)
    minima, _ = scipy.signal.find_peaks(-smooth, distance=max(int(apart), 1), prominence=drop)
    beats, start = [], 0
    for minimum in minima.tolist():
        # Both frames on the curve itself: smoothing moves them and flattens extremes.
        es = _extreme_near(-area, minimum, int(max(shortest / 6, 1)))
        ed = start + int(np.argmax(area[start : es + 1]))
        if area[ed] - area[es] >= drop:
            beats.append(Beat(ed, es))
        start = es
    return Beats(tuple(beats), length, periodicity, whole_beat=_shows_whole_beat(area, beats))


def beat_length(area: Float[np.ndarray, "t"], fps: float = math.nan) -> tuple[float, float]:
    """Frames from one beat to the next, from the autocorrelation of the curve without its trend.

    Args:
        area: per frame.
        fps: frames per second; nan when unknown.

    Returns:
        The length and the correlation of the curve with itself after it, 0..1; (nan, 0) when the
        clip has less than about one and a half beats or does not repeat itself.
    """
    known = math.isfinite(fps) and fps > 0
    shortest = math.ceil(SHORTEST_S * fps) if known else SHORTEST_FRAMES
    longest = int(2 * len(area) / 3)
    if known:
        longest = min(longest, int(LONGEST_S * fps))
    if longest <= shortest + 1:
        return math.nan, 0.0
    correlation = _autocorrelation(scipy.signal.detrend(area), longest + 1)
    peaks, _ = scipy.signal.find_peaks(correlation)
    peaks = peaks[(peaks >= shortest) & (peaks <= longest)]
    peaks = peaks[correlation[peaks] >= MIN_PERIODICITY] if len(peaks) else peaks
    if len(peaks) == 0:
        return math.nan, 0.0
    # Two beats are as good a period as one: take the shortest that is nearly as good as the best.
    best = correlation[peaks].max()
    first = int(peaks[correlation[peaks] >= 0.8 * best][0])
    return float(first), float(np.clip(correlation[first], 0.0, 1.0))


def _shows_whole_beat(area: Float64[np.ndarray, "t"], beats: list[Beat]) -> bool:
    """Whether there are two end-diastoles: after a single contraction the area must come back."""
    if len(beats) != 1:
        return len(beats) > 1
    ((ed, es),) = beats
    return bool(area[es:].max() - area[es] >= MIN_REFILLING * (area[ed] - area[es]))


def _autocorrelation(signal: Float64[np.ndarray, "t"], num_lags: int) -> Float64[np.ndarray, "_"]:
    """Pearson's r of the curve with itself, moved by 0, 1, ... frames."""
    found = np.zeros(num_lags)
    for lag in range(num_lags):
        first, second = signal[: len(signal) - lag], signal[lag:]
        scale = math.sqrt(float(first.var() * second.var()))
        if scale > 0:
            found[lag] = float(np.mean((first - first.mean()) * (second - second.mean()))) / scale
    return found


def _extreme_near(signal: Float64[np.ndarray, "t"], frame: int, reach: int) -> int:
    """The frame of the largest value within `reach` frames; the earliest of equals."""
    start = max(frame - reach, 0)
    return start + int(np.argmax(signal[start : frame + reach + 1]))
