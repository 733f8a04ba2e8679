"""Whether a probability of 0.8 is right in eight of ten pixels."""

from typing import Any

import numpy as np
from jaxtyping import Bool, Float64, UInt8

NUM_BINS = 15


def count_bins(
    mask: UInt8[np.ndarray, "n h w"],
    reference: Bool[np.ndarray, "n h w"],
    *,
    num_bins: int = NUM_BINS,
) -> Float64[np.ndarray, "3 bins"]:
    """What calibration needs to know of some frames; counts of several clips are added.

    Args:
        mask: soft mask, 255 * probability.
        reference: what is true.
        num_bins: of 0..1, of equal width.

    Returns:
        By bin of probability: the pixels, the sum of their probabilities, those that are inside.
    """
    # A uint8 mask has 256 values, so one count of each is all that is needed of the pixels.
    pixels = np.bincount(mask.ravel(), minlength=256)
    inside = np.bincount(mask[reference], minlength=256)
    probability = np.arange(256) / 255
    bins = np.minimum((probability * num_bins).astype(int), num_bins - 1)
    return np.stack(
        [
            np.bincount(bins, weights=values, minlength=num_bins)
            for values in (pixels, probability * pixels, inside)
        ]
    )


def calibration_error(counts: Float64[np.ndarray, "3 bins"]) -> float:
    """Mean over pixels of |probability - frequency|, in bins (Guo et al., arXiv 1706.04599).

    Most pixels are background of which a network is sure, so values are small; compare them with
    one another, on the same frames.

    Args:
        counts: of `count_bins`.

    Returns:
        0 (perfect) to 1; nan without pixels.
    """
    pixels, probability, inside = counts
    if pixels.sum() == 0:
        return float("nan")
    return float(np.abs(inside - probability).sum() / pixels.sum())


def reliability(counts: Float64[np.ndarray, "3 bins"]) -> dict[str, Any]:
    """Probability and frequency by bin, as metrics.json has them.

    Args:
        counts: of `count_bins`.

    Returns:
        `probability` (mean of the bin's pixels) and `frequency` (part of them that is inside), nan
        for a bin without pixels; `pixels` of the bin; `calibration_error` of all pixels together.
    """
    pixels, probability, inside = counts
    filled = np.where(pixels > 0, pixels, np.nan)
    return {
        "probability": (probability / filled).tolist(),
        "frequency": (inside / filled).tolist(),
        "pixels": [int(count) for count in pixels],
        "calibration_error": calibration_error(counts),
    }
