"""Whether a probability of 0.8 is right in eight of ten pixels."""

import numpy as np
from jaxtyping import Bool, UInt8

NUM_BINS = 15


def expected_calibration_error(
    mask: UInt8[np.ndarray, "n h w"],
    reference: Bool[np.ndarray, "n h w"],
    *,
    num_bins: int = NUM_BINS,
) -> float:
    """Mean over pixels of |probability - frequency|, in bins of equal width (Guo et al., 2017).

    Most pixels are background of which a network is sure, so values are small; compare them with
    one another, on the same frames.

    Args:
        mask: soft mask, 255 * probability.
        reference: what is true.
        num_bins: of 0..1.

    Returns:
        0 (perfect) to 1; nan without frames.
    """
    if mask.size == 0:
        return float("nan")
    # A uint8 mask has 256 values, so one count of each is all that is needed of the pixels.
    counts = np.bincount(mask.ravel(), minlength=256)
    positives = np.bincount(mask[reference], minlength=256)
    probability = np.arange(256) / 255
    bins = np.minimum((probability * num_bins).astype(int), num_bins - 1)
    gap = np.bincount(bins, weights=positives - probability * counts, minlength=num_bins)
    return float(np.abs(gap).sum() / counts.sum())
