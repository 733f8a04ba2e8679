"""Heart beats in the area of the left ventricle over time, without any reference frame."""

import itertools
import math
from collections.abc import Sequence
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
# A first contraction that starts lower than the others, by this part of the clip's range, had begun
# before the clip.
MAX_BEGUN = 0.1
# Beats of one rhythm differ by less than this, standard deviation over mean: frames are found to
# within one or two, and breathing changes the rate by some percent.
IRREGULAR = 0.12
# What an irregular curve repeats is the shape of its beats, not their time.
MAX_IRREGULAR_PERIODICITY = 0.5
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
        length_frames: of a beat, the mean over those found; of one alone, from the autocorrelation;
            nan when the clip is too short or the curve does not repeat itself.
        periodicity: how well the curve follows itself after one beat, 0..1; 0 when unknown.
        whole_beat: whether the clip shows one whole beat, from one end-diastole to the next.
        rate_per_min: heart rate; nan when unknown.
        spread_per_min: standard deviation of the rate from beat to beat; nan for fewer than three.
        irregular: the beats differ in length by more than the frames' spacing explains.
        begun: a contraction was left out because it was under way at the first frame.
    """

    beats: tuple[Beat, ...] = ()
    length_frames: float = math.nan
    periodicity: float = 0.0
    whole_beat: bool = False
    rate_per_min: float = math.nan
    spread_per_min: float = math.nan
    irregular: bool = False
    begun: bool = False


def find_beats(
    area: Shaped[np.ndarray, "t"],
    fps: float = math.nan,
    times_s: Float64[np.ndarray, "t"] | None = None,
) -> Beats:
    """Finds every end-systole with the end-diastole before it.

    End-systoles are minima of the smoothed area that reach far enough down in this clip and are at
    least a third of a beat apart. End-diastole is the largest area since the end-systole before.
    The first contraction is left out if the clip began after its end-diastole, the last one if
    the clip ends before the area rises again.

    Args:
        area: pixels (or a volume) per frame.
        fps: frames per second; nan when unknown.
        times_s: of every frame, ascending, where they are not evenly spaced.

    Returns:
        No beats for a curve that is flat or shorter than a beat.
    """
    area = np.asarray(area, np.float64)
    if len(area) < SHORTEST_FRAMES:
        return Beats()
    if times_s is None:
        found, begun = _contractions(area, fps)
        return _described(area, area, found, fps, _frame_times(len(area), fps), begun)
    # Found on an even grid, and put back on the frames that were taken.
    even, step_s = _on_even_grid(area, times_s)
    found, begun = _contractions(even, 1 / step_s)
    frames = [(_nearest(times_s, ed * step_s), _nearest(times_s, es * step_s)) for ed, es in found]
    found = [Beat(_extreme_near(area, ed, 1), _extreme_near(-area, es, 1)) for ed, es in frames]
    found = [beat for beat in found if beat.ed_frame < beat.es_frame]
    return _described_uneven(area, even, step_s, found, times_s, begun)


def describe_beats(
    area: Shaped[np.ndarray, "t"],
    beats: Sequence[Beat],
    fps: float = math.nan,
    times_s: Float64[np.ndarray, "t"] | None = None,
) -> Beats:
    """What `find_beats` says of contractions, where somebody else named their frames.

    Args:
        area: pixels (or a volume) per frame.
        beats: in order of time, none begins before the one before it has ended.
        fps: frames per second; nan when unknown.
        times_s: of every frame, ascending, where they are not evenly spaced.
    """
    area = np.asarray(area, np.float64)
    if times_s is None:
        times = _frame_times(len(area), fps)
        return _described(area, area, list(beats), fps, times, begun=False)
    even, step_s = _on_even_grid(area, times_s)
    return _described_uneven(area, even, step_s, list(beats), times_s, begun=False)


def _contractions(area: Float64[np.ndarray, "t"], fps: float) -> tuple[list[Beat], bool]:
    """The contractions of an evenly spaced curve, and whether one had begun before it."""
    shortest = SHORTEST_S * fps if math.isfinite(fps) and fps > 0 else float(SHORTEST_FRAMES)
    smooth = scipy.ndimage.gaussian_filter1d(area, max(shortest / 10, 0.8))
    low, high = np.percentile(smooth, [5, 95])
    least = max(MIN_RANGE * abs(float(area.mean())), MIN_RANGE_TO_NOISE * (area - smooth).std())
    if high - low <= least:
        return [], False
    # Beats differ in length, those of an irregular heart by half.
    length, _ = beat_length(area, fps)
    apart = shortest if math.isnan(length) else max(length / 3, shortest)
    drop = PROMINENCE * (high - low)
    minima, _ = scipy.signal.find_peaks(-smooth, distance=max(int(apart), 1), prominence=drop)
    reach = int(max(shortest / 6, 1))
    beats, start = [], 0
    for minimum in minima.tolist():
        # Both frames on the curve itself: smoothing moves them and flattens extremes.
        es = _extreme_near(-area, minimum, reach)
        ed = start + int(np.argmax(area[start : es + 1]))
        if area[ed] - area[es] >= drop:
            beats.append(Beat(ed, es))
        start = es
    begun = bool(beats) and beats[0].ed_frame <= reach and _begins_below(area, beats, high - low)
    return beats[begun:], begun


def _begins_below(area: Float64[np.ndarray, "t"], beats: list[Beat], depth: float) -> bool:
    """Whether the first frames are smaller than the other end-diastoles are."""
    later = [area[beat.ed_frame] for beat in beats[1:]] or [area[beats[0].es_frame :].max()]
    return bool(area[beats[0].ed_frame] < np.median(later) - MAX_BEGUN * depth)


def _described(
    curve: Float64[np.ndarray, "t"],
    area: Float64[np.ndarray, "even"],
    found: list[Beat],
    fps: float,
    times: Float64[np.ndarray, "t"],
    begun: bool,
) -> Beats:
    """What is said about contractions.

    Args:
        curve: area per frame.
        area: the same evenly spaced.
        found: in frames.
        fps: of `area`.
        times: of the frames; their indices where no rate is known.
        begun: whether one was left out.
    """
    if not found:
        return Beats(begun=begun)
    length, periodicity = beat_length(area, fps)
    known = math.isfinite(fps) and fps > 0
    falls = _half_falls(curve, found, times)
    lengths = np.diff(falls)
    if len(lengths):
        length = float(lengths.mean()) * (fps if known else 1.0)
    irregular = len(lengths) > 1 and float(lengths.std() / lengths.mean()) > IRREGULAR
    if irregular:
        periodicity = max(periodicity, min(MAX_IRREGULAR_PERIODICITY, _likeness(area, falls, fps)))
    rates = 60 / lengths if known and len(lengths) > 1 else np.zeros(0)
    return Beats(
        beats=tuple(found),
        length_frames=length,
        periodicity=periodicity,
        whole_beat=_shows_whole_beat(curve, found),
        rate_per_min=60 * fps / length if known else math.nan,
        spread_per_min=float(rates.std()) if len(rates) else math.nan,
        irregular=irregular,
        begun=begun,
    )


def _described_uneven(
    curve: Float64[np.ndarray, "t"],
    even: Float64[np.ndarray, "even"],
    step_s: float,
    found: list[Beat],
    times_s: Float64[np.ndarray, "t"],
    begun: bool,
) -> Beats:
    """The same for a curve whose frames are not evenly spaced; `even` is."""
    described = _described(curve, even, found, 1 / step_s, times_s, begun)
    length_frames = described.length_frames * step_s * (len(curve) - 1) / float(times_s[-1])
    return described._replace(length_frames=length_frames)


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


def _half_falls(
    curve: Float64[np.ndarray, "t"], found: list[Beat], times: Float64[np.ndarray, "t"]
) -> Float64[np.ndarray, "n"]:
    """When each contraction has come half way: where the curve is steep a time is found best."""
    falls = []
    for ed, es in found:
        if curve[ed] <= curve[es]:  # Somebody else named them.
            falls.append((times[ed] + times[es]) / 2)
            continue
        half = (curve[ed] + curve[es]) / 2
        before = ed + int(np.flatnonzero(curve[ed:es] > half)[-1])
        part = (curve[before] - half) / (curve[before] - curve[before + 1])
        falls.append(times[before] + part * (times[before + 1] - times[before]))
    return np.array(falls)


def _frame_times(num_frames: int, fps: float) -> Float64[np.ndarray, "t"]:
    """Seconds; frames where the rate is unknown."""
    return np.arange(num_frames) / (fps if math.isfinite(fps) and fps > 0 else 1.0)


def _on_even_grid(
    area: Float64[np.ndarray, "t"], times_s: Float64[np.ndarray, "t"]
) -> tuple[Float64[np.ndarray, "even"], float]:
    """The curve between its frames, evenly spaced, and the spacing in seconds."""
    span_s = float(times_s[-1])
    step_s = max(float(np.median(np.diff(times_s))), span_s / (4 * len(area)))
    grid = np.arange(0, span_s + step_s / 2, step_s)
    return np.interp(grid, times_s, area), step_s


def _nearest(times_s: Float64[np.ndarray, "t"], time_s: float) -> int:
    return int(np.argmin(np.abs(times_s - time_s)))


def _likeness(area: Float64[np.ndarray, "t"], falls: Float64[np.ndarray, "n"], fps: float) -> float:
    """Mean correlation of each beat with the next, both stretched to one length; 0..1."""
    known = math.isfinite(fps) and fps > 0
    frames = falls * (fps if known else 1.0)
    beats = [
        np.interp(np.linspace(first, last, 32), np.arange(len(area)), area)
        for first, last in itertools.pairwise(frames)
    ]
    with np.errstate(invalid="ignore"):  # A flat piece is like nothing.
        pairs = [np.corrcoef(one, other)[0, 1] for one, other in itertools.pairwise(beats)]
    return float(np.clip(np.nan_to_num(pairs).mean(), 0.0, 1.0))


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
