"""How far outlines are to be trusted: expected Dice, with intervals, and where they are doubted.

A network has looked at the frames and at the outlines (`networks.trust`) and gives where it would
see the ventricle. How well both agree says how good the outline is once it is calibrated on clips
whose exact masks are known: the expected Dice rises with the agreement (isotonic regression), and
the interval comes from how far off that was among clips of about the same expected Dice (split
conformal prediction in groups; Vovk et al., Algorithmic Learning in a Random World, 2005).
"""

import dataclasses
import functools
import math
from collections.abc import Collection, Mapping
from typing import Any, NamedTuple

import numpy as np
import scipy.optimize
from jaxtyping import Bool, Float64, UInt8

from echodfkd_jax.measurement.outline import trace

# Of all intervals.
COVERAGE = 0.9
# An outline with less than this is a bad one.
GOOD_DICE = 0.85
# One that is expected to have less hardly ever is a good one.
BAD_DICE = 0.75
# As often a good clip may be flagged.
FALSE_ALARMS = 0.1
# Groups of equal size in which intervals are found, and points of the curve.
NUM_GROUPS, NUM_KNOTS = 5, 24
# Parts of the outline.
PLACES = ("apex", "septal wall", "lateral wall", "base")
_LEFT_AND_RIGHT = {"septal wall": "left wall", "lateral wall": "right wall"}
# A part is doubted where so much of the ventricle's area near it is seen otherwise.
MIN_DOUBTED = 0.03
# In about so many frames of a clip.
_LOOKED_AT = 16

Values = Float64[np.ndarray, "n"]


class Expected(NamedTuple):
    """Dice that an outline would have against the exact mask.

    Attributes:
        dice: expected.
        low: of the interval in which it lies in `COVERAGE` of the cases.
        high: likewise.
    """

    dice: float
    low: float
    high: float


@dataclasses.dataclass(frozen=True)
class Curve:
    """What an agreement means.

    Attributes:
        agreement: ascending.
        dice: expected there; between them along straight lines.
        edges: of the groups, in expected Dice, ascending; one less than groups.
        below: by group, how far below the expected Dice the interval begins, negative.
        above: by group, how far above it it ends.
    """

    agreement: tuple[float, ...]
    dice: tuple[float, ...]
    edges: tuple[float, ...]
    below: tuple[float, ...]
    above: tuple[float, ...]

    @classmethod
    def fit(cls, agreement: Values, dice: Values, held_out: tuple[Values, Values]) -> "Curve":
        """Calibrates.

        Args:
            agreement: of outlines whose exact masks are known.
            dice: of the same with those.
            held_out: both again, of others, for the intervals.
        """
        order = np.argsort(agreement, kind="stable")
        rising = scipy.optimize.isotonic_regression(dice[order]).x
        parts = np.array_split(np.arange(len(order)), min(NUM_KNOTS, len(order)))
        x = np.array([agreement[order][part].mean() for part in parts])
        y = np.maximum.accumulate([rising[part].mean() for part in parts])
        expected = np.interp(held_out[0], x, y)
        away = held_out[1] - expected
        edges = np.quantile(expected, np.linspace(0, 1, NUM_GROUPS + 1)[1:-1])
        groups = [away[np.searchsorted(edges, expected) == g] for g in range(NUM_GROUPS)]
        below, above = zip(*(_reach(group) for group in groups))
        return cls(*(tuple(map(float, values)) for values in (x, y, edges, below, above)))

    def expected(self, agreement: float) -> Expected:
        """The expected Dice of an outline."""
        dice = float(np.interp(agreement, self.agreement, self.dice))
        group = int(np.searchsorted(self.edges, dice))
        low, high = dice + self.below[group], dice + self.above[group]
        return Expected(dice, max(0.0, low), min(1.0, high))


def _reach(away: Values) -> tuple[float, float]:
    """Between which two of these a next one lies, in `COVERAGE` of the cases."""
    ordered, count = np.sort(away), len(away)
    rank = math.floor((count + 1) * (1 - COVERAGE) / 2)
    if rank < 1:  # Too few to say.
        return -1.0, 1.0
    return min(float(ordered[rank - 1]), 0.0), max(float(ordered[count - rank]), 0.0)


@dataclasses.dataclass(frozen=True)
class Calibration:
    """What the agreements of frames and of clips mean.

    Attributes:
        frame: of frames.
        clip: of clips, whose agreement is the mean over frames.
        flag_below: clips whose agreement is less are flagged; of clips with a good outline
            `FALSE_ALARMS` are.
    """

    frame: Curve
    clip: Curve
    flag_below: float

    @classmethod
    def of(cls, content: Mapping[str, Any]) -> "Calibration":
        """From the JSON that a weights file has of it."""
        curves = {
            name: Curve(**{key: tuple(map(float, some)) for key, some in content[name].items()})
            for name in ("frame", "clip")
        }
        return cls(**curves, flag_below=float(content["flag_below"]))


@dataclasses.dataclass(frozen=True)
class Trust:
    """How far the outlines of a clip are to be trusted.

    Attributes:
        agreement: of every frame, see `agreement`.
        calibration: what it means.
        places: parts of the outline that are seen otherwise, worst first.
    """

    agreement: tuple[float, ...]
    calibration: Calibration
    places: tuple[str, ...] = ()

    @functools.cached_property
    def clip(self) -> Expected:
        """The mean Dice over the clip's frames."""
        return self.calibration.clip.expected(self._mean)

    @functools.cached_property
    def frames(self) -> tuple[Expected, ...]:
        """The Dice of every frame."""
        return tuple(self.calibration.frame.expected(value) for value in self.agreement)

    @property
    def _mean(self) -> float:
        return sum(self.agreement) / len(self.agreement)

    @property
    def flagged(self) -> bool:
        """Whether the clip's outline may well be a bad one."""
        return self._mean < self.calibration.flag_below

    @property
    def surely_bad(self) -> bool:
        """Whether the clip's outline is hardly ever a good one."""
        return self.clip.dice < BAD_DICE

    @property
    def doubted(self) -> tuple[str, ...]:
        """Which parts of a flagged outline are to be looked at, worst first."""
        return self.places if self.flagged else ()

    def with_drawn(self, frames: Collection[int]) -> "Trust":
        """After somebody drew the outline of some frames: nobody doubts these."""
        agreement = tuple(
            1.0 if number in frames else value for number, value in enumerate(self.agreement)
        )
        return dataclasses.replace(self, agreement=agreement)


def agreement(inside: UInt8[np.ndarray, "t h w"], mask: Bool[np.ndarray, "t h w"]) -> Values:
    """Of every frame: Dice of its mask with what the network sees; 0 of an empty mask.

    Args:
        inside: round(255 * probability), from `networks.trust.where_inside`.
        mask: what it judged.
    """
    weights = inside.reshape(len(inside), -1) / 255.0
    chosen = mask.reshape(len(mask), -1)
    sums = weights.sum(axis=1) + chosen.sum(axis=1)
    return 2 * (weights * chosen).sum(axis=1) / np.maximum(sums, 1.0)


def judge(
    inside: UInt8[np.ndarray, "t h w"],
    mask: Bool[np.ndarray, "t h w"],
    calibration: Calibration,
    *,
    sides_known: bool = True,
) -> Trust:
    """Judges the outlines of a clip.

    Args:
        inside: round(255 * probability), from `networks.trust.where_inside`.
        mask: what it judged, of every frame; there is one at least.
        calibration: of that network.
        sides_known: whether the septum is on the left of the picture.
    """
    trust = Trust(tuple(map(float, agreement(inside, mask))), calibration)
    if not trust.flagged:  # What takes longest would not be told.
        return trust
    places = doubted_places(inside, mask, sides_known=sides_known)
    return dataclasses.replace(trust, places=places)


def doubted_places(
    inside: UInt8[np.ndarray, "t h w"],
    mask: Bool[np.ndarray, "t h w"],
    *,
    sides_known: bool = True,
) -> tuple[str, ...]:
    """Parts of the outline near which the network sees the ventricle otherwise, worst first.

    Args:
        inside: round(255 * probability), from `networks.trust.where_inside`.
        mask: what it judged.
        sides_known: whether the septum is on the left of the picture; if not, walls are left and
            right ones.
    """
    sums = np.zeros(len(PLACES))
    every = max(len(mask) // _LOOKED_AT, 1)
    inside, mask = inside[::every], mask[::every]
    for seen, cut in zip(inside, mask):
        wrong = np.where(cut, 255 - seen, seen) / 255.0
        nearest = _nearest_place(np.where(cut, np.uint8(255), np.uint8(0)))
        if nearest is None:
            continue
        wrong = np.where(wrong > 0.5, wrong, 0.0)
        sums += np.bincount(nearest.ravel(), wrong.ravel(), len(PLACES)) / max(cut.sum(), 1)
    shares = sums / max(len(mask), 1)
    order = [int(i) for i in np.argsort(-shares, kind="stable") if shares[i] >= MIN_DOUBTED]
    names = [PLACES[i] for i in order]
    return tuple(names if sides_known else (_LEFT_AND_RIGHT.get(name, name) for name in names))


def _nearest_place(mask: UInt8[np.ndarray, "h w"]) -> np.ndarray | None:
    """The number in `PLACES` of the part that every pixel is nearest to; None without an outline.

    The apex is the uppermost third of the long axis, the base what lies below a tenth of it.
    """
    outline = trace(mask)
    if outline is None:
        return None
    y, x = np.mgrid[: mask.shape[0], : mask.shape[1]]
    from_ring = np.stack([y, x], axis=-1) - outline.ring
    height = from_ring @ outline.upwards / outline.length_px
    right = from_ring @ outline.rightwards > 0
    place = np.where(right, 2, 1)
    place = np.where(height > 2 / 3, 0, place)
    return np.where(height < 0.1, 3, place)
