"""End-diastole (ED) and end-systole (ES) from the area of the left ventricle over time.

The rule of EchoDFKD (Petit et al., arXiv 2409.07566): the reference frame chooses the beat, the
area curve chooses the frame within it. aFD, the average frame distance, is the mean over clips of
|estimate - reference|.
"""

import numpy as np
from jaxtyping import Float, Float64, Int64, Shaped, UInt8

# A pixel belongs to the area when its soft mask is above this, of 255 (the published script's).
AREA_THRESHOLD = 25


def area_px(mask: UInt8[np.ndarray, "t h w"]) -> Int64[np.ndarray, "t"]:
    """Pixels above `AREA_THRESHOLD` in every frame of a soft mask 0..255."""
    return np.count_nonzero(mask > AREA_THRESHOLD, axis=(1, 2)).astype(np.int64)


def estimate_es(area: Shaped[np.ndarray, "t"], reference_frame: int) -> int:
    """The end-systolic frame of the beat that a reference frame is in.

    Among the contiguous blocks below the median, the one whose first or last frame is nearest the
    reference, the earliest on ties; in it the frame of least area, the earliest on ties.

    Args:
        area: of the left ventricle in every frame.
        reference_frame: the ES frame according to somebody else.

    Raises:
        ValueError: the clip has no frames.
    """
    return _nearest_low(z_score(np.asarray(area, np.float64)), reference_frame)


def estimate_ed(area: Shaped[np.ndarray, "t"], reference_frame: int) -> int:
    """The end-diastolic frame; the rule of `estimate_es` on the negated area."""
    return _nearest_low(-z_score(np.asarray(area, np.float64)), reference_frame)


def extreme_frames(area: Shaped[np.ndarray, "t"]) -> tuple[int, int]:
    """ED and ES where nobody named them: the frames of largest and least area, earliest on ties.

    Used for a reference that is an area curve itself (the teacher's). Such a curve is at distance 0
    from itself: the block that the frame lies in is nearer to it than any other.

    Raises:
        ValueError: the clip has no frames.
    """
    return int(np.argmax(area)), int(np.argmin(area))


def z_score(signal: Float[np.ndarray, "t"]) -> Float64[np.ndarray, "t"]:
    """Mean 0 and standard deviation 1 over the clip; zeros for a flat signal."""
    deviation = signal.std()
    if deviation == 0:
        return np.zeros_like(signal)
    return (signal - signal.mean()) / deviation


def _nearest_low(signal: Float64[np.ndarray, "t"], reference_frame: int) -> int:
    below = signal < np.median(signal)
    if not below.any():
        below = signal <= np.median(signal)
    edges = np.flatnonzero(np.diff(below, prepend=False, append=False))
    first, last = edges[::2], edges[1::2] - 1
    distance = np.minimum(abs(first - reference_frame), abs(last - reference_frame))
    block = int(np.argmin(distance))  # The earliest on ties, as argmin does.
    return int(first[block] + np.argmin(signal[first[block] : last[block] + 1]))
