"""How Dice grows with the number of weights: published points, and a curve through points.

The published figure (Petit et al., arXiv 2409.07566) draws ln(1 - Dice) against ln(weights) with a
saturating curve, which is taken here as 1 - Dice = floor + scale * weights^-exponent.
"""

import dataclasses

import numpy as np
from jaxtyping import Float

from echodfkd_jax.errors import UserError

# Mean Dice on EchoNet-Dynamic's test clips by size (blocks, layers), read off the figure, +-0.0005.
PUBLISHED_DICE = {
    **{"11": 0.784, "12": 0.776, "13": 0.833, "14": 0.840},
    **{"21": 0.858, "22": 0.890, "23": 0.890, "24": 0.897},
    **{"31": 0.901, "32": 0.906, "33": 0.908, "34": 0.908},
    **{"41": 0.909, "42": 0.911, "43": 0.910, "44": 0.910},
}
# Weights and Dice of the published teacher.
PUBLISHED_TEACHER = (39_633_729, 0.922)
# A Dice of 1 has no logarithm.
_LEAST_MISS = 1e-6
_MOST_EXPONENT = 3.0


@dataclasses.dataclass(frozen=True)
class SaturatingCurve:
    """1 - Dice = floor + scale * weights^-exponent.

    Attributes:
        floor: 1 - Dice of an endlessly large student.
        scale: 1 - Dice above the floor of one with a single weight.
        exponent: how fast weights pay.
    """

    floor: float
    scale: float
    exponent: float

    def miss(self, weights: Float[np.ndarray, "n"]) -> Float[np.ndarray, "n"]:
        """1 - Dice at numbers of weights."""
        return self.floor + self.scale * weights**-self.exponent


def parse_size(size: str) -> tuple[int, int]:
    """Blocks and layers of a size such as "31".

    Raises:
        UserError: it is not two digits from 1 to 4.
    """
    if len(size) != 2 or not set(size) <= set("1234"):
        raise UserError(
            f"config.sweep.sizes has {size!r}: expected blocks and layers, each 1 to 4: '31'"
        )
    return int(size[0]), int(size[1])


def num_weights(blocks: int, layers: int, filters: int = 12) -> int:
    """Trained numbers of a student (`student.ConvLSTMUNet`), in closed form."""
    total = filters + 1  # the head
    channels = 1
    for block in range(blocks):
        width = filters * 2**block
        for _ in range(layers):
            total += (channels + width) * 4 * width * 9 + 4 * width + 2 * width
            channels = width
    for block in range(blocks - 1):
        width = filters * 2**block
        total += 2 * width * width * 9 + width + 2 * width
    return total


def log_miss(dice: Float[np.ndarray, "n"]) -> Float[np.ndarray, "n"]:
    """ln(1 - Dice); a Dice within 1e-6 of 1 counts as that far from it."""
    return np.log(np.maximum(1 - dice, _LEAST_MISS))


def fit(weights: Float[np.ndarray, "n"], dice: Float[np.ndarray, "n"]) -> SaturatingCurve | None:
    """The curve that is nearest in ln(1 - Dice), by least squares.

    Args:
        weights: per student.
        dice: per student; nan: left out.

    Returns:
        The curve, or None with fewer than four different numbers of weights: it has three
        parameters, and would go through three points whatever they are.
    """
    # A second to import, and only this needs it.
    from scipy import optimize

    known = ~np.isnan(dice)
    if len(np.unique(weights[known])) < 4:
        return None
    log_weights, target = np.log(weights[known]), log_miss(dice[known])
    # Logarithms keep floor and scale positive; centred weights keep the parameters independent.
    centre = log_weights.mean()

    def residuals(parameters: np.ndarray) -> np.ndarray:
        log_floor, log_scale, exponent = parameters
        return np.logaddexp(log_floor, log_scale - exponent * (log_weights - centre)) - target

    starts = [(target.min() - 0.1, target.mean() - 1, exponent) for exponent in (0.3, 1.0)]
    bounds = ([-20.0, -20.0, 0.0], [0.0, 5.0, _MOST_EXPONENT])
    solutions = [
        optimize.least_squares(residuals, np.clip(start, *bounds), bounds=bounds)
        for start in starts
    ]
    log_floor, log_scale, exponent = min(solutions, key=lambda solution: solution.cost).x
    return SaturatingCurve(
        float(np.exp(log_floor)), float(np.exp(log_scale + exponent * centre)), float(exponent)
    )
