"""How far two sets of clips are apart, by the features of a network; numpy only.

Sources: Heusel et al., arXiv 1706.08500 (Frechet distance); Unterthiner et al., arXiv 1812.01717
(of videos); Salimans et al., arXiv 1606.03498 (inception score).
"""

import itertools
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Float64

from echodfkd_jax.errors import UserError

Features = Float[np.ndarray, "_ _"]
# Of the published inception score.
SPLITS = 10


class Frechet(NamedTuple):
    """Frechet distance of two Gaussians with the features' means and covariances, by its terms.

    Attributes:
        means: squared distance of the means.
        first: trace of the first covariance.
        second: trace of the second one.
        both: trace of the root of their product.
    """

    means: float
    first: float
    second: float
    both: float

    @property
    def distance(self) -> float:
        """The squared distance, as it is reported; never below 0."""
        return max(self.means + self.first + self.second - 2 * self.both, 0.0)


def frechet(first: Features, second: Features, *, published: bool = False) -> Frechet:
    """Frechet distance of two sets of features.

    With centred features A and B, the root's trace is the sum of the singular values of A B^T over
    the roots of both numbers of rows, however few they are; a root of the covariances' product
    loses half of the digits where it is singular.

    Args:
        first: one row per picture or clip.
        second: likewise; the order of the sets does not matter.
        published: covariances are divided by the number of rows, as the published video metrics do,
            instead of one less.

    Raises:
        UserError: fewer than two rows, other numbers of features, or one that is not finite.
    """
    _check(first, second)
    centred = [
        rows.astype(np.float64) - rows.mean(axis=0, dtype=np.float64) for rows in (first, second)
    ]
    divisors = [len(rows) if published else len(rows) - 1 for rows in centred]
    # The smaller of the two ways to the same singular values.
    a, b = (_compressed(rows) for rows in centred)
    shared = np.linalg.svd(a @ b.T, compute_uv=False).sum()
    apart = first.mean(axis=0, dtype=np.float64) - second.mean(axis=0, dtype=np.float64)
    return Frechet(
        means=float(apart @ apart),
        first=float(np.sum(centred[0] ** 2) / divisors[0]),
        second=float(np.sum(centred[1] ** 2) / divisors[1]),
        both=float(shared / np.sqrt(divisors[0] * divisors[1])),
    )


def inception_score(logits: Features, splits: int = SPLITS) -> tuple[float, float]:
    """How sure a classifier is of each picture, and how different its answers are.

    Args:
        logits: of a classifier, one row per picture, in the order in which they were made.
        splits: parts that are scored by themselves.

    Returns:
        Mean and population standard deviation over the parts.

    Raises:
        UserError: fewer pictures than parts.
    """
    if not 1 <= splits <= len(logits):
        raise UserError(
            f"inception score of {len(logits)} pictures in {splits} parts: expected 1 to "
            f"{len(logits)} parts"
        )
    logs = logits.astype(np.float64)
    logs -= logs.max(axis=1, keepdims=True)
    logs -= np.log(np.exp(logs).sum(axis=1, keepdims=True))
    edges = [part * len(logs) // splits for part in range(splits + 1)]
    scores = [_split_score(logs[start:stop]) for start, stop in itertools.pairwise(edges)]
    return float(np.mean(scores)), float(np.std(scores))


def _split_score(logs: Float64[np.ndarray, "n classes"]) -> float:
    """Exponent of the mean divergence from the mean answer."""
    probability = np.exp(logs)
    mean = probability.mean(axis=0)
    with np.errstate(divide="ignore"):
        divergence = np.where(probability > 0, probability * (logs - np.log(mean)), 0.0)
    return float(np.exp(divergence.sum(axis=1).mean()))


def _compressed(rows: Float64[np.ndarray, "n d"]) -> Float64[np.ndarray, "m d"]:
    """Fewer rows with the same scatter, where there are more rows than features."""
    return np.asarray(np.linalg.qr(rows, mode="r")) if len(rows) > rows.shape[1] else rows


def _check(first: Features, second: Features) -> None:
    if first.shape[1] != second.shape[1]:
        raise UserError(
            f"features of {first.shape[1]} and of {second.shape[1]} numbers: expected those of one "
            "network"
        )
    for rows in (first, second):
        if len(rows) < 2:
            raise UserError(f"a Frechet distance of {len(rows)} clips: expected 2 or more")
        wrong = np.flatnonzero(~np.isfinite(rows).all(axis=1))
        if len(wrong):
            raise UserError(f"features of row {wrong[0]} are not finite; leave that clip out")
