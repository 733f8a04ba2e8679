"""The re-identification filter's rule: which generated clips resemble one that was learnt from.

Reynaud et al., "EchoNet-Synthetic: privacy-preserving video generation for safe medical data
sharing", arXiv 2406.00808. What recognises a heart is a network; here are its embeddings.
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Float64, Int64

from echodfkd_jax.errors import UserError

PERCENTILE = 95.0


class Filtered(NamedTuple):
    """What the filter says of generated clips.

    Attributes:
        threshold: tau; what resembles a training clip as much or more is rejected.
        correlation: of each generated clip with the training clip that it resembles most.
        nearest: that training clip's row.
        kept: which generated clips are kept.
    """

    threshold: float
    correlation: Float64[np.ndarray, "n"]
    nearest: Int64[np.ndarray, "n"]
    kept: Bool[np.ndarray, "n"]

    @property
    def memorisation_rate(self) -> float:
        """Fraction of the generated clips that are rejected."""
        return float(np.mean(~self.kept))


def filter_clips(
    generated: Float[np.ndarray, "n _"],
    train: Float[np.ndarray, "m _"],
    held_out: Float[np.ndarray, "k _"],
    *,
    percentile: float = PERCENTILE,
) -> Filtered:
    """Rejects generated clips that resemble a training clip more than other people's clips do.

    Args:
        generated: embeddings, one per row.
        train: of the clips that the generator learnt from.
        held_out: of clips that it never saw, by which the threshold is found.
        percentile: of the training clips resemble every held-out clip less than the threshold.

    Raises:
        UserError: no rows, rows of other lengths, or an embedding that is constant or not finite.
    """
    threshold = threshold_of(train, held_out, percentile=percentile)
    with_train = correlations(generated, train)
    largest = with_train.max(axis=1)
    return Filtered(threshold, largest, with_train.argmax(axis=1), largest < threshold)


def threshold_of(
    train: Float[np.ndarray, "m _"],
    held_out: Float[np.ndarray, "k _"],
    *,
    percentile: float = PERCENTILE,
) -> float:
    """Tau: how much training clips resemble the held-out clip that each resembles most.

    Args:
        train: see `filter_clips`, and so is the rest.
        held_out: see there.
        percentile: of the training clips; linear between two of them.

    Raises:
        UserError: see `filter_clips`.
    """
    if not 0 <= percentile <= 100:
        raise UserError(f"privacy percentile {percentile:g}: expected 0 to 100")
    return float(np.percentile(correlations(train, held_out).max(axis=1), percentile))


def correlations(
    first: Float[np.ndarray, "n _"], second: Float[np.ndarray, "m _"]
) -> Float64[np.ndarray, "n m"]:
    """Pearson's r of every row of one matrix with every row of the other.

    Raises:
        UserError: see `filter_clips`.
    """
    if first.shape[1] != second.shape[1]:
        raise UserError(
            f"embeddings of {first.shape[1]} and of {second.shape[1]} numbers: expected those of "
            "one network"
        )
    return np.clip(_standardised(first) @ _standardised(second).T, -1.0, 1.0)


def _standardised(rows: Float[np.ndarray, "n d"]) -> Float64[np.ndarray, "n d"]:
    """Zero mean and unit length, so that products are correlations."""
    if len(rows) == 0:
        raise UserError("no embeddings: expected one clip or more on each side of the filter")
    centred = rows.astype(np.float64)
    centred -= centred.mean(axis=1, keepdims=True)
    lengths = np.linalg.norm(centred, axis=1, keepdims=True)
    # A constant row leaves rounding: nothing to be compared by.
    least = 1e-12 * np.abs(rows).max(axis=1, keepdims=True, initial=0.0)
    wrong = np.flatnonzero(~(np.isfinite(lengths) & (lengths > least)))
    if len(wrong):
        raise UserError(
            f"embedding of row {wrong[0]} is constant or not finite: it cannot be compared; leave "
            "that clip out, or use another network"
        )
    return centred / lengths
