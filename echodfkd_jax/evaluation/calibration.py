"""Whether a probability of 0.8 is right in eight of ten pixels."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from jaxtyping import Bool, Float64, UInt8

from echodfkd_jax.evaluation.evaluator import Evaluator, Found, Row, ScoredClip

NUM_BINS = 15
_COUNTS = "calibration_counts"


class Calibration(Evaluator):
    """Calibration error per clip, and reliability over the pixels of all clips."""

    identity = "calibration-1"
    rows = (
        Row("mean", "calibration_error/{}_vs_reference", "Calibration error", 4),
        Row("mean", "calibration_error/{}_vs_teacher", "  against the teacher, cut at 1/2", 4),
    )

    def clip(self, scored: ScoredClip) -> dict[str, Any]:
        """`calibration_error` by pair of model and target, and the counts behind it."""
        counts = {
            f"{model}_vs_{name}": count_bins(mask[target.frames], target.masks)
            for model, mask in scored.lv.masks.items()
            for name, target in scored.lv.targets(model).items()
        }
        errors = {f"calibration_error/{pair}": calibration_error(n) for pair, n in counts.items()}
        return {**errors, _COUNTS: counts}

    def summarise(
        self, found: Sequence[Found], *, models: Sequence[str], num_samples: int, seed: int
    ) -> Mapping[str, Mapping[str, Any]]:
        """`reliability` by pair, of pairs that any clip has."""
        del models, num_samples, seed
        sums: dict[str, Any] = {}
        for clip in found:
            for pair, counts in clip[_COUNTS].items():
                sums[pair] = sums.get(pair, 0) + counts
        return {
            "reliability": {p: reliability(counts) for p, counts in sums.items() if counts.any()}
        }


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
