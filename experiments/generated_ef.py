"""Ejection fractions asked for against measured ones, for `experiments/generated_clips.py`."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import tqdm

from echodfkd_jax.evaluation import bootstrap, correlation
from echodfkd_jax.masks import MASK_THRESHOLD
from echodfkd_jax.measurement import disks
from echodfkd_jax.measurement.clip_report import report_clip
from echodfkd_jax.measurement.ejection_fraction import ejection_fraction_percent
from experiments.generator_runs import Outliner

NUM_SAMPLES = 2000
# Of fewer clips an interval is narrow by chance: most of its samples have two or three of them.
LEAST_OF_INTERVAL = 10
NUM_PERMUTATIONS = 1000
# How an ejection fraction is measured: which frames, and what of their masks.
WAYS = ("beats, areas", "beats, disks", "extremes, areas", "extremes, disks")


def measure(mask: np.ndarray, fps: float) -> list[float]:
    """The ejection fraction of soft masks (t, h, w), percent, by `WAYS`; nan without a beat."""
    report = report_clip(mask, fps)
    binary = mask > MASK_THRESHOLD
    areas = binary.sum(axis=(1, 2)).astype(float)
    largest, smallest = int(areas.argmax()), int(areas.argmin())
    if areas[largest] == 0:
        return [np.nan] * len(WAYS)
    volumes = [disks.volume_px3(binary[frame]) for frame in (largest, smallest)]
    return [
        report.ef_area_percent,
        report.ef_disks_percent,
        ejection_fraction_percent(areas[largest], areas[smallest]),
        ejection_fraction_percent(*volumes),
    ]


def measure_all(outline: Outliner, clips: Sequence[np.ndarray], fps: float) -> np.ndarray:
    """See `measure`; (n, ways)."""
    bar = tqdm.tqdm(clips, "outlining", unit="clip")
    return np.array([measure(outline(frames, fps), fps) for frames in bar])


def best_of(asked: np.ndarray, measured: np.ndarray) -> np.ndarray:
    """Of k measured ones (k, n) the one nearest to the one asked for (n,); nan where none is known.

    With k = 1 it is what was measured.
    """
    error = np.abs(measured - asked)
    return measured[np.argmin(np.where(np.isnan(error), np.inf, error), 0), np.arange(len(asked))]


def agreement(asked: np.ndarray, measured: np.ndarray) -> dict[str, Any]:
    """How asked and measured ones agree; clips of which one is not known are left out."""
    known = ~np.isnan(asked) & ~np.isnan(measured)
    asked, measured = asked[known], measured[known]
    low, high = np.nan, np.nan
    if len(asked) >= LEAST_OF_INTERVAL:
        low, high = bootstrap.interval_of_pearson(asked, measured, num_samples=NUM_SAMPLES)
    error = measured - asked
    return {
        "clips": int(known.sum()),
        "left out": int((~known).sum()),
        "r": correlation.pearson(asked, measured),
        "r from": low,
        "r to": high,
        "mean absolute error": float(np.abs(error).mean()) if len(error) else np.nan,
        "bias": float(error.mean()) if len(error) else np.nan,
    }


def by_chance(asked: np.ndarray, measured: np.ndarray) -> dict[str, float]:
    """What r would be if clips did not depend on what was asked for, the same choice included.

    What was asked for is exchanged between clips at random, and the best of k is chosen anew: that
    choice alone makes r larger than 0.

    Args:
        asked: (n,).
        measured: (k, n).

    Returns:
        The mean r of the permutations, and of how many of them r is as large as it was found, the
        permutation that is no permutation counted too; nan where r is not known.
    """

    def r_of(asked: np.ndarray) -> float:
        best = best_of(asked, measured)
        known = ~np.isnan(asked) & ~np.isnan(best)
        return correlation.pearson(asked[known], best[known])

    found, random = r_of(asked), np.random.default_rng(0)
    others = np.array([r_of(random.permutation(asked)) for _ in range(NUM_PERMUTATIONS)])
    others = others[~np.isnan(others)]
    if np.isnan(found) or len(others) == 0:
        return {"r by chance": np.nan, "p": np.nan}
    # Equal ones may differ by rounding.
    as_large = int((others >= found - 1e-9).sum())
    return {"r by chance": float(others.mean()), "p": (1 + as_large) / (1 + len(others))}


def ef_rows(sets: Mapping[str, tuple[np.ndarray, np.ndarray]]) -> list[dict[str, Any]]:
    """A row for every set, (asked (n,), measured (k, n, ways)), and way; the best of k counts."""
    return [
        {
            "clips of": name,
            "measured by": way,
            **agreement(asked, best_of(asked, measured[..., number])),
            **by_chance(asked, measured[..., number]),
        }
        for name, (asked, measured) in sets.items()
        for number, way in enumerate(WAYS)
    ]
