"""Clips that are looked at by themselves: poor windows, low ejection fractions, frame rates."""

import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Bool, Float64

from echodfkd_jax.evaluation import summary
from echodfkd_jax.evaluation.bootstrap import MIN_CLIPS

# What is told of each subset, the first of either list that there is.
METRICS = (
    ("Dice", ("dice/student_vs_reference", "dice/student_vs_teacher"), 3),
    (
        "EF by disks, off by points",
        ("ef_disks_error/student_vs_recorded",),
        1,
    ),
    ("ED off by, frames", ("afd_ed/student_vs_reference", "afd_ed/student_vs_teacher"), 1),
    ("ES off by, frames", ("afd_es/student_vs_reference", "afd_es/student_vs_teacher"), 1),
)
# Percent; those of heart failure with reduced and with preserved ejection fraction.
_EF_EDGES = (40.0, 50.0)
_FPS_EDGES = (30.0, 55.0)
_WINDOWS = ("faint border (a third)", "middle", "clear border (a third)")


class Subset(NamedTuple):
    """Some clips.

    Attributes:
        name: of them.
        clips: which.
    """

    name: str
    clips: Bool[np.ndarray, "n"]


def find(clips: Sequence[Mapping[str, Any]]) -> list[Subset]:
    """All clips, and the subsets that have two clips at least.

    A window is poor where the border is faint, see `window`; generated clips that are tested on
    are filmed through clear ones, and a third of them is still fainter than the others.

    Args:
        clips: numbers by metric, of each.
    """
    ef, fps = summary.column(clips, "ef/recorded"), summary.column(clips, "fps")
    contrast = summary.column(clips, "border_contrast/reference")
    if np.isnan(contrast).all():
        contrast = summary.column(clips, "border_contrast/teacher")
    found = [Subset("all", np.ones(len(clips), bool))]
    found += _by_value("EF recorded {} %", ef, _EF_EDGES)
    found += _by_value("{} frames a second", fps, _FPS_EDGES)
    known = ~np.isnan(contrast)
    if known.sum() >= len(_WINDOWS) * MIN_CLIPS:
        edges = np.quantile(contrast[known], [1 / 3, 2 / 3])
        grade = np.searchsorted(edges, contrast)
        found += [
            Subset(f"window: {name}", known & (grade == number))
            for number, name in enumerate(_WINDOWS)
        ]
    return [subset for subset in found if subset.clips.sum() >= MIN_CLIPS]


def _by_value(
    name: str, values: Float64[np.ndarray, "n"], edges: tuple[float, float]
) -> list[Subset]:
    low, high = edges
    return [
        Subset(name.format(f"below {low:g}"), values < low),
        Subset(name.format(f"{low:g} to {high:g}"), (values >= low) & (values < high)),
        Subset(name.format(f"{high:g} or more"), values >= high),
    ]


def metrics_of(clips: Sequence[Mapping[str, Any]]) -> list[tuple[str, str, int]]:
    """Heading, metric and decimals of what is told of subsets of these clips."""
    found = []
    for heading, names, decimals in METRICS:
        for name in names:
            if not np.isnan(summary.column(clips, name)).all():
                against = name.rpartition("_vs_")[2]
                found.append((f"{heading}, {against}", name, decimals))
                break
    return found


def table(
    clips: Sequence[Mapping[str, Any]], *, num_samples: int, seed: int = 0
) -> tuple[list[str], list[list[dict[str, Any]]]]:
    """Means by subset.

    Args:
        clips: numbers by metric, of each.
        num_samples: of the bootstrap.
        seed: of the bootstrap.

    Returns:
        Names of the subsets, and for each an entry per metric of `metrics_of`.
    """
    found = find(clips)
    columns = [summary.column(clips, name) for _, name, _ in metrics_of(clips)]
    rows = [
        [
            summary.mean_entry(column[subset.clips], num_samples=num_samples, seed=seed)
            for column in columns
        ]
        for subset in found
    ]
    return [subset.name for subset in found], rows


def is_known(entry: Mapping[str, Any]) -> bool:
    """Whether any clip of the subset has the metric."""
    return entry["count"] > 0 and not math.isnan(entry["value"])
