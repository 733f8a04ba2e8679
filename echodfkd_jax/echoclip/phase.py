"""End-diastole and end-systole from what the judge says about the mitral valve.

EchoDFKD (Petit et al., arXiv 2409.07566): the valve is closed while the ventricle empties, so the
running sum of "open" minus "closed" rises and falls with the ventricle's volume.
"""

import numpy as np
import scipy.signal
from jaxtyping import Float, Float64, Int64

from echodfkd_jax.echoclip.judge import similarities

# The published script's settings of the peak search on the z-scored signal.
MIN_DISTANCE_FRAMES = 10
MIN_PROMINENCE = 1.5


def valve_signal(
    frames: Float[np.ndarray, "t d"], valve_texts: Float[np.ndarray, "2 d"]
) -> Float64[np.ndarray, "t"]:
    """A curve that runs like the volume of the left ventricle.

    The published script sums sim(closed) - sim(open); its sign and centring are not recoverable.
    Here the increments are sim(open) - sim(closed) less their mean over the clip: negative in
    systole, and the curve ends where it began, as the published plot does.

    Args:
        frames: embeddings of a clip's frames.
        valve_texts: embeddings of the sentences for a closed and for an open valve.

    Returns:
        The running sum, z-scored over the clip; zeros where the judge sees no difference.
    """
    closed, opened = similarities(frames, valve_texts).astype(np.float64).T
    increments = opened - closed
    if len(increments) == 0:
        return increments
    return z_score(np.cumsum(increments - increments.mean()))


def z_score(signal: Float[np.ndarray, "t"]) -> Float64[np.ndarray, "t"]:
    """Mean 0 and standard deviation 1; zeros for a signal that is flat up to rounding."""
    signal = np.asarray(signal, np.float64)
    centred = signal - signal.mean()
    deviation = centred.std()
    # Sums of rounding errors are not a heart beat: those of float32 similarities are near 1e-7.
    if deviation <= 1e-6 * max(1.0, float(np.abs(signal).max())):
        return np.zeros_like(centred)
    return centred / deviation


def systolic_frames(signal: Float[np.ndarray, "t"]) -> Int64[np.ndarray, "n"]:
    """Frames of the valleys of a volume-like signal, in order; of -signal, the diastolic ones.

    Args:
        signal: any scale; it is z-scored first.
    """
    frames, _ = scipy.signal.find_peaks(
        -z_score(signal), distance=MIN_DISTANCE_FRAMES, prominence=MIN_PROMINENCE
    )
    return frames.astype(np.int64)


def end_systole(signal: Float[np.ndarray, "t"]) -> int:
    """The frame of the deepest valley; the lowest frame if there is no valley, 0 if flat.

    Of equally deep valleys the first. -1 for a clip without frames.
    """
    if len(signal) == 0:
        return -1
    valleys = systolic_frames(signal)
    if len(valleys) == 0:
        return int(np.argmin(signal))
    return int(valleys[np.argmin(signal[valleys])])


def end_diastole(signal: Float[np.ndarray, "t"]) -> int:
    """The frame of the highest peak; the rule of `end_systole` on the negated signal."""
    return end_systole(-signal)
