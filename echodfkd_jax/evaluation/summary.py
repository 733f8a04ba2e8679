"""From numbers per clip to means and correlations with intervals, each with its count of clips."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from jaxtyping import Float64

from echodfkd_jax.evaluation.bootstrap import (
    CI95,
    MIN_CLIPS_OF_CORRELATION,
    interval_of_mean,
    interval_of_pearson,
    interval_of_ratio,
)
from echodfkd_jax.evaluation.correlation import pearson

ClipNumbers = Mapping[str, Any]
# Metrics that are summed over clips, not averaged.
TOTALS = ("empty_frames/",)
# Metrics that are positions in a clip: a mean over clips says nothing.
POSITIONS = ("ed_frame/", "es_frame/")


def column(clips: Sequence[ClipNumbers], metric: str) -> Float64[np.ndarray, "n"]:
    """One metric of all clips; nan where a clip does not have it."""
    return np.array([clip.get(metric, math.nan) for clip in clips], np.float64)


def summarise(clips: Sequence[ClipNumbers], *, num_samples: int, seed: int = 0) -> dict[str, Any]:
    """Means over the clips that have a metric.

    Args:
        clips: metric and value, per clip.
        num_samples: bootstrap samples.
        seed: of the bootstrap.

    Returns:
        `mean`, `ci95` (percentile bootstrap over clips) and `count` by metric, and `total` for
        those that are counts. Metrics that no clip has, and positions, are left
            out.
    """
    summary: dict[str, dict[str, Any]] = {"mean": {}, "ci95": {}, "count": {}, "total": {}}
    for metric in dict.fromkeys(name for clip in clips for name in clip):
        values = column(clips, metric)
        values = values[~np.isnan(values)]
        if len(values) == 0 or _is_one_of(metric, POSITIONS):
            continue
        if _is_one_of(metric, TOTALS):
            summary["total"][metric] = int(values.sum())
            continue
        summary["mean"][metric] = float(values.mean())
        summary["ci95"][metric] = interval_of_mean(values, num_samples=num_samples, seed=seed)
        summary["count"][metric] = len(values)
    return summary


def _is_one_of(metric: str, kinds: tuple[str, ...]) -> bool:
    """Of the left ventricle or, after its name, of another structure."""
    return metric.startswith(kinds) or metric.partition("/")[2].startswith(kinds)


def correlate(
    clips: Sequence[ClipNumbers],
    pairs: Mapping[str, tuple[str, str]],
    *,
    num_samples: int,
    seed: int = 0,
) -> dict[str, Any]:
    """Pearson's r over the clips that have both metrics of a pair.

    Returns:
        `value`, `ci95` and `count` by the pair's name. Pairs that fewer than three clips have are
        left out.
    """
    found = {}
    for name, (first, second) in pairs.items():
        x, y = column(clips, first), column(clips, second)
        both = ~np.isnan(x) & ~np.isnan(y)
        x, y = x[both], y[both]
        if len(x) < MIN_CLIPS_OF_CORRELATION:
            continue
        interval = interval_of_pearson(x, y, num_samples=num_samples, seed=seed)
        found[name] = {"value": pearson(x, y), "ci95": interval, "count": len(x)}
    return found


def agree(
    clips: Sequence[ClipNumbers], pairs: Mapping[str, tuple[str, str]]
) -> dict[str, dict[str, Any]]:
    """How far two ways of measuring differ (Bland and Altman, Lancet 1986, 1:307-310).

    Args:
        clips: metric and value, per clip.
        pairs: the metric and the one it is compared with, by name.

    Returns:
        By the pair's name: `value`, the mean of first - second (bias); `interval`, the limits of
        agreement, bias -/+ 1.96 standard deviations of the difference; `count`. Pairs that fewer
        than three clips have are left out.
    """
    found = {}
    for name, (first, second) in pairs.items():
        difference = column(clips, first) - column(clips, second)
        difference = difference[~np.isnan(difference)]
        if len(difference) < MIN_CLIPS_OF_CORRELATION:
            continue
        bias, reach = float(difference.mean()), 1.96 * float(difference.std(ddof=1))
        limits = (bias - reach, bias + reach)
        found[name] = {"value": bias, "interval": limits, "count": len(difference)}
    return found


def mean_entry(
    values: Float64[np.ndarray, "n"], *, num_samples: int, seed: int = 0
) -> dict[str, Any]:
    """`value`, `ci95` and `count` of the mean of what is not nan; value nan if nothing is."""
    values = values[~np.isnan(values)]
    interval = interval_of_mean(values, num_samples=num_samples, seed=seed)
    value = float(values.mean()) if len(values) else math.nan
    return {"value": value, "ci95": interval, "count": len(values)}


def ratio_entry(
    part: Float64[np.ndarray, "n"],
    whole: Float64[np.ndarray, "n"],
    *,
    num_samples: int,
    percentiles: tuple[float, float] = CI95,
    seed: int = 0,
) -> dict[str, Any]:
    """`value`, `interval` and `count` of sum(part) / sum(whole), over clips that have both."""
    known = ~np.isnan(part) & ~np.isnan(whole)
    part, whole = part[known], whole[known]
    interval = interval_of_ratio(
        part, whole, num_samples=num_samples, seed=seed, percentiles=percentiles
    )
    value = float(part.sum() / whole.sum()) if whole.sum() > 0 else math.nan
    return {"value": value, "interval": interval, "percentiles": percentiles, "count": len(part)}
