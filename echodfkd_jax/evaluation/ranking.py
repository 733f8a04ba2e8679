"""Which clips to look at: the best, those in the middle, and the worst."""

import numpy as np
from jaxtyping import Float

KINDS = ("best", "median", "worst")


def best_median_worst(scores: Float[np.ndarray, "n"], count: int) -> list[tuple[int, str]]:
    """Picks `count` clips of each kind; all clips, in three parts, if there are not more than that.

    Args:
        scores: larger is better; nan counts as worst.
        count: of each kind.

    Returns:
        Index and kind, from the best clip to the worst; equal scores in their order.
    """
    order = np.argsort(-np.nan_to_num(scores, nan=-np.inf), kind="stable")
    if len(order) <= len(KINDS) * count:
        parts = np.array_split(order, len(KINDS))
    else:
        middle = (len(order) - count + 1) // 2
        parts = [order[:count], order[middle : middle + count], order[len(order) - count :]]
    return [(int(index), kind) for kind, part in zip(KINDS, parts) for index in part]
