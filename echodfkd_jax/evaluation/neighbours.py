"""Which training clip a generated one is closest to, and how many are too close; numpy only."""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Float64, Int64

from echodfkd_jax.errors import UserError

# Distances computed at once.
_ROWS_AT_ONCE = 256
# A generated clip counts as memorised if it is closer to a training clip than all but so many
# percent of the training clips are to each other.
PERCENTILE = 5.0


class Neighbours(NamedTuple):
    """The closest training clip of each generated one.

    Attributes:
        nearest: (n,), row of the training features.
        distance: (n,), Euclidean, to it.
    """

    nearest: Int64[np.ndarray, "n"]
    distance: Float64[np.ndarray, "n"]


class Memorisation(NamedTuple):
    """How many generated clips are too close to a training clip.

    Attributes:
        rate: fraction of the generated clips.
        expected: the same of clips that nobody learnt from: what there is without memory.
        threshold: distance below which a clip counts.
    """

    rate: float
    expected: float
    threshold: float


def nearest(generated: Float[np.ndarray, "n _"], train: Float[np.ndarray, "m _"]) -> Neighbours:
    """The closest training clip of each generated one.

    Args:
        generated: features, one row per clip.
        train: likewise.

    Raises:
        UserError: there is no training clip, or features of another number.
    """
    if len(train) == 0 or generated.shape[1] != train.shape[1]:
        raise UserError(
            f"nearest of {train.shape[0]} training clips by {train.shape[1]} features for clips "
            f"with {generated.shape[1]}: expected 1 clip or more, by the same network"
        )
    found = [
        _nearest(generated[start : start + _ROWS_AT_ONCE].astype(np.float64), train)
        for start in range(0, len(generated), _ROWS_AT_ONCE)
    ]
    rows = np.concatenate([np.zeros(0, np.int64), *(part.nearest for part in found)])
    return Neighbours(rows, np.concatenate([np.zeros(0), *(part.distance for part in found)]))


def memorisation(
    generated: Float[np.ndarray, "n _"],
    train: Float[np.ndarray, "m _"],
    held_out: Float[np.ndarray, "k _"],
    *,
    percentile: float = PERCENTILE,
) -> Memorisation:
    """Fraction of the generated clips that are closer to a training clip than others are.

    Args:
        generated: features, one row per clip.
        train: of the clips that the generator learnt from.
        held_out: of others; `percentile` of them are closer to a training clip than the threshold.
        percentile: see above.

    Raises:
        UserError: a set is empty, or features of another number.
    """
    if len(generated) == 0 or len(held_out) == 0:
        raise UserError(
            f"memorisation of {len(generated)} generated clips by {len(held_out)} held-out ones: "
            "expected 1 or more of each"
        )
    usual = nearest(held_out, train).distance
    threshold = float(np.percentile(usual, percentile))
    found = nearest(generated, train).distance
    return Memorisation(
        float(np.mean(found < threshold)), float(np.mean(usual < threshold)), threshold
    )


def _nearest(rows: Float64[np.ndarray, "n d"], train: Float[np.ndarray, "m d"]) -> Neighbours:
    # Around the training clips' mean little cancels below.
    centre = train.mean(axis=0, dtype=np.float64)
    rows, train = rows - centre, train - centre
    products = rows @ train.T
    closest = np.argmin(np.sum(train**2, axis=1) - 2 * products, axis=1)
    return Neighbours(closest, np.linalg.norm(rows - train[closest], axis=1))
