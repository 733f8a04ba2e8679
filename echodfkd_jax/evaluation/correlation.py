"""Linear correlation."""

import numpy as np
from jaxtyping import Float


def pearson(first: Float[np.ndarray, "n"], second: Float[np.ndarray, "n"]) -> float:
    """Pearson's r; nan for fewer than two values or where one side is constant."""
    if len(first) < 2 or np.ptp(first) == 0 or np.ptp(second) == 0:
        return float("nan")
    first = first - first.mean()
    second = second - second.mean()
    scale = np.sqrt(np.dot(first, first) * np.dot(second, second))
    return float(np.clip(np.dot(first, second) / scale, -1.0, 1.0))
