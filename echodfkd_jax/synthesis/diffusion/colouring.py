"""Grey values of a rough picture moved to those of a recorded frame, at the least total cost.

Source: Ferradans et al., "Regularized discrete optimal transport", arXiv 1307.5551; Cuturi,
"Sinkhorn distances: lightspeed computation of optimal transport", arXiv 1306.0895. The numbers are
Free-Echo's.
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Float32, Float64

from echodfkd_jax.errors import UserError

REGULARISATION = 0.1
NUM_PIXELS = 500
# Grey pictures have three equal channels there, whose squared differences add up.
_CHANNELS = 3
_MOST_ROUNDS, _TOLERANCE = 1000, 1e-9


class Colouring(NamedTuple):
    """Where grey values go; one for all frames of a clip, so that nothing flickers.

    Attributes:
        known: (n,), grey values that were seen, in rising order.
        colours: (n,), where each goes.
    """

    known: Float64[np.ndarray, "n"]
    colours: Float64[np.ndarray, "n"]

    def __call__(self, picture: Float[np.ndarray, "*pixels"]) -> Float32[np.ndarray, "*pixels"]:
        """The picture in its new grey values, 0..1.

        A grey value that was not seen goes where the nearest one went, and stays as far from it.
        """
        right = np.clip(np.searchsorted(self.known, picture), 1, max(len(self.known) - 1, 1))
        right = np.minimum(right, len(self.known) - 1)
        left = np.maximum(right - 1, 0)
        nearer = np.abs(picture - self.known[left]) <= np.abs(picture - self.known[right])
        nearest = np.where(nearer, left, right)
        moved = self.colours[nearest] + picture - self.known[nearest]
        return np.clip(moved, 0.0, 1.0).astype(np.float32)


def colouring(
    picture: Float[np.ndarray, "*pixels"],
    reference: Float[np.ndarray, "*others"],
    rng: np.random.Generator,
    *,
    num_pixels: int = NUM_PIXELS,
    regularisation: float = REGULARISATION,
) -> Colouring:
    """Finds where a picture's grey values go: on average over all pixels, to the reference's.

    Args:
        picture: 0..1.
        reference: a recorded frame, 0..1, of any size.
        rng: draws the pixels of both that are compared.
        num_pixels: of each, at most.
        regularisation: of the plan's entropy; more draws all grey values together.

    Raises:
        UserError: an empty picture, one that is not within 0..1, or no regularisation.
    """
    for name, each in (("picture", picture), ("reference", reference)):
        if each.size == 0 or np.min(each) < 0 or np.max(each) > 1:
            raise UserError(f"the {name} to be coloured by is empty or not within 0 to 1")
    if not regularisation > 0:
        raise UserError(f"regularisation {regularisation:g} of a colouring: expected more than 0")
    source, target = (_some(each, rng, num_pixels) for each in (picture, reference))
    plan = sinkhorn(_CHANNELS * (source[:, None] - target) ** 2, regularisation)
    colours = (plan @ target) / plan.sum(axis=1)
    known, first = np.unique(source, return_index=True)
    return Colouring(known, colours[first])


def sinkhorn(cost: Float64[np.ndarray, "n m"], regularisation: float) -> Float64[np.ndarray, "n m"]:
    """How much of each of n goes to each of m, at little cost and with much entropy.

    All of n weigh alike, and all of m.

    Raises:
        UserError: costs so large, or a regularisation so small, that nothing is left of the plan.
    """
    rows, columns = (np.full(size, 1 / size) for size in cost.shape)
    kernel = np.exp(-cost / regularisation)
    left, right = np.ones_like(rows), np.ones_like(columns)
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        for _ in range(_MOST_ROUNDS):
            left = rows / (kernel @ right)
            right = columns / (kernel.T @ left)
            plan = left[:, None] * kernel * right
            if not np.isfinite(plan).all():
                raise UserError(
                    f"regularisation {regularisation:g} is too small for costs up to "
                    f"{cost.max():g}; use a larger one"
                )
            if np.abs(plan.sum(axis=1) - rows).max() < _TOLERANCE:
                break
    return plan


def _some(
    picture: Float[np.ndarray, "*pixels"], rng: np.random.Generator, most: int
) -> Float64[np.ndarray, "n"]:
    values = np.ravel(picture).astype(np.float64)
    return rng.choice(values, min(most, len(values)), replace=False)
