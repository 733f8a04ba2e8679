"""Outlines that are wrong in known ways, to learn and to measure how they are told from good ones.

What a mask is distorted by is kept through a clip, as a network's own mistakes are; in one of four
clips it comes and goes.
"""

import math
from collections.abc import Callable
from typing import NamedTuple

import cv2
import numpy as np

from echodfkd_jax.synthesis import STRUCTURES

# Where an outline may run out to, and what may be taken for the ventricle.
NEIGHBOURS = ("lv_myocardium", "la", "rv", "ra")


class Heart(NamedTuple):
    """A clip as its outline may be distorted.

    Attributes:
        masks: bool (t, h, w), the outline.
        labels: uint8 (t, h, w), 1 + the number in `STRUCTURES` of what is there; 0: none of them.
        other: bool (t, h, w), the outline of another clip.
    """

    masks: np.ndarray
    labels: np.ndarray
    other: np.ndarray

    def structure(self, name: str) -> np.ndarray:
        """The exact masks of a structure, bool (t, h, w)."""
        return self.labels == 1 + STRUCTURES.index(name)


Random = np.random.Generator


def shifted(random: Random, heart: Heart) -> np.ndarray:
    """Moved to any side."""
    way = _strength(random, 0.04, 0.6) * _size(heart.masks)
    angle = random.uniform(0, 2 * math.pi)
    return _warped(heart.masks, shift=(way * math.cos(angle), way * math.sin(angle)))


def resized(random: Random, heart: Heart) -> np.ndarray:
    """Larger or smaller by a factor, each way by its own."""
    factor = _strength(random, 0.05, 0.6)
    sign = random.choice([-1, 1])
    return _warped(
        heart.masks,
        scale=(
            2 ** (sign * factor * random.uniform(0.5, 1)),
            2 ** (sign * factor * random.uniform(0.5, 1)),
        ),
    )


def turned(random: Random, heart: Heart) -> np.ndarray:
    """Around the middle."""
    return _warped(heart.masks, degrees=random.choice([-1, 1]) * _strength(random, 4, 60))


def grown_or_shrunk(random: Random, heart: Heart) -> np.ndarray:
    """By pixels, all along the outline."""
    pixels = random.choice([-1, 1]) * _strength(random, 0.7, 8)
    return np.stack([_distance(mask) < pixels for mask in heart.masks])


def wavy(random: Random, heart: Heart) -> np.ndarray:
    """Here outside and there inside of where it was, in waves that stay where they are."""
    cells = int(random.integers(3, 8))
    waves = _field(random, cells, heart.masks.shape[1:]) * _strength(random, 0.8, 6)
    return np.stack([_distance(mask) < waves for mask in heart.masks])


def leaking(random: Random, heart: Heart) -> np.ndarray:
    """Into what lies beside it, so far."""
    beside = heart.structure(random.choice(NEIGHBOURS, p=[0.25, 0.45, 0.2, 0.1]))
    if random.uniform() < 0.3:  # Whatever is there.
        beside = heart.labels != 1
    reach = _strength(random, 3, 30)
    way = random.uniform(0, 2 * math.pi)
    kept = [
        mask | (there & (_distance(mask) < reach) & _half(mask, way, 0.6))
        for mask, there in zip(heart.masks, beside)
    ]
    return np.stack(kept)


def cut(random: Random, heart: Heart) -> np.ndarray:
    """Without what lies on one side of a line: apex, base, or a wall."""
    way, part = random.uniform(0, 2 * math.pi), _strength(random, 0.04, 0.7)
    return np.stack([mask & ~_half(mask, way, part) for mask in heart.masks])


def another_part(random: Random, heart: Heart) -> np.ndarray:
    """Another structure's."""
    return heart.structure(random.choice(NEIGHBOURS))


def another_clips(random: Random, heart: Heart) -> np.ndarray:
    """That of another heart, or this one's seen in a mirror."""
    if random.uniform() < 0.5:
        return heart.masks[:, :, ::-1].copy()
    return heart.other[np.arange(len(heart.masks)) % len(heart.other)]


def late(random: Random, heart: Heart) -> np.ndarray:
    """That of some frames before, or one for all."""
    count = len(heart.masks)
    if random.uniform() < 0.5:
        return np.repeat(heart.masks[[int(random.integers(count))]], count, axis=0)
    return np.roll(heart.masks, int(random.integers(2, max(count // 2, 3))), axis=0)


def missing(random: Random, heart: Heart) -> np.ndarray:
    """Nothing, or no more than a spot of it."""
    if random.uniform() < 0.3:
        return np.zeros_like(heart.masks)
    way, part = random.uniform(0, 2 * math.pi), random.uniform(0.75, 0.97)
    return np.stack([mask & ~_half(mask, way, part) for mask in heart.masks])


KINDS: tuple[tuple[Callable[[Random, Heart], np.ndarray], float], ...] = (
    (shifted, 1.0),
    (resized, 1.0),
    (turned, 0.5),
    (grown_or_shrunk, 1.5),
    (wavy, 2.0),
    (leaking, 2.0),
    (cut, 1.5),
    (another_part, 0.7),
    (another_clips, 0.8),
    (late, 0.5),
    (missing, 0.3),
)


def distort(random: Random, heart: Heart) -> tuple[str, np.ndarray]:
    """Distorts a clip's outline in one of the ways; gives its name and masks, bool (t, h, w)."""
    weights = np.array([weight for _, weight in KINDS])
    kind = KINDS[int(random.choice(len(KINDS), p=weights / weights.sum()))][0]
    found = kind(random, heart)
    if random.uniform() < 0.25 and len(found) > 1:  # Not in all frames.
        begin, end = sorted(random.integers(0, len(found) + 1, 2).tolist())
        keep = np.ones(len(found), bool)
        keep[begin:end] = False
        found = np.where(keep[:, None, None], heart.masks, found)
    return kind.__name__, found


def _strength(random: Random, low: float, high: float) -> float:
    """More often small than large."""
    return float(low + (high - low) * random.uniform() ** 2)


def _size(masks: np.ndarray) -> float:
    return math.sqrt(max(masks.sum(axis=(1, 2)).mean(), 1.0))


def _warped(
    masks: np.ndarray,
    *,
    shift: tuple[float, float] = (0.0, 0.0),
    scale: tuple[float, float] = (1.0, 1.0),
    degrees: float = 0.0,
) -> np.ndarray:
    """Moved, enlarged (across, along) and turned around the middle of all of them."""
    y, x = np.nonzero(masks.any(axis=0))
    middle = np.array([x.mean(), y.mean()]) if len(x) else np.array(masks.shape[1:]) / 2
    turn = cv2.getRotationMatrix2D((0.0, 0.0), degrees, 1.0)[:, :2] @ np.diag(scale)
    matrix = np.column_stack([turn, middle - turn @ middle + np.array(shift)])
    return np.stack(
        [cv2.warpAffine(255 * m.astype(np.uint8), matrix, m.shape) > 127 for m in masks]
    )


def _distance(mask: np.ndarray) -> np.ndarray:
    """Pixels to the outline, negative inside."""
    if not mask.any():
        return np.full(mask.shape, math.inf)
    inside = mask.astype(np.uint8)
    away = cv2.distanceTransform(1 - inside, cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
    within = cv2.distanceTransform(inside, cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
    return np.where(mask, 0.5 - within, away - 0.5)


def _half(mask: np.ndarray, way: float, part: float) -> np.ndarray:
    """All that lies further in a direction than all but a part of the mask."""
    y, x = np.mgrid[: mask.shape[0], : mask.shape[1]]
    along = x * math.cos(way) + y * math.sin(way)
    if not mask.any():
        return np.zeros(mask.shape, bool)
    return along > np.quantile(along[mask], 1 - part)


def _field(random: Random, cells: int, shape: tuple[int, ...]) -> np.ndarray:
    """Smooth noise of about unit standard deviation."""
    coarse = random.normal(size=(cells, cells)).astype(np.float32)
    return cv2.resize(coarse, shape[::-1], interpolation=cv2.INTER_CUBIC) * 1.3
