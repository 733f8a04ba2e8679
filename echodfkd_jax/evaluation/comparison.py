"""Evaluations of several students on the same clips: differences clip by clip, with intervals."""

import dataclasses
import functools
import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float64

from echodfkd_jax.evaluation import files, subsets, summary, table
from echodfkd_jax.evaluation.bootstrap import (
    MIN_CLIPS_OF_CORRELATION,
    interval_of_pearson,
    interval_of_pearson_difference,
)
from echodfkd_jax.evaluation.correlation import pearson

STUDENT = "student"
Entry = Mapping[str, Any]


@dataclasses.dataclass(frozen=True, eq=False)
class Candidate:
    """One of those that are compared.

    Attributes:
        label: what it is called.
        directory: of its evaluation.
        metrics: content of its metrics.json.
    """

    label: str
    directory: str
    metrics: Mapping[str, Any]

    @functools.cached_property
    def by_name(self) -> dict[str, dict[str, float]]:
        """The numbers of every clip."""
        return {clip["name"]: files.numbers_of(clip) for clip in self.metrics["per_clip"]}

    @functools.cached_property
    def clips(self) -> frozenset[tuple[str, int]]:
        """Names and lengths of the clips that it was evaluated on."""
        return frozenset((c["name"], c["num_frames"]) for c in self.metrics["per_clip"])


class Compared(NamedTuple):
    """One number of all candidates.

    Attributes:
        section: of metrics.json, "mean" or "correlation".
        metric: its name there.
        heading: what it is.
        decimals: that are shown.
        values: of every candidate, over the clips that all of them have it of.
        differences: of every candidate but the first, to the first.
    """

    section: str
    metric: str
    heading: str
    decimals: int
    values: Sequence[Entry]
    differences: Sequence[Entry]


class Comparison:
    """Candidates that were evaluated on the same clips.

    Attributes:
        candidates: the others are compared with the first.
        names: of the clips.
        ranked_by: the metric by which clips are said to differ.
    """

    def __init__(self, candidates: Sequence[Candidate], *, num_samples: int, seed: int = 0) -> None:
        """Puts the candidates' clips into one order.

        Args:
            candidates: two or more.
            num_samples: of the bootstrap.
            seed: of the bootstrap.
        """
        self.candidates = list(candidates)
        self.names = [clip["name"] for clip in candidates[0].metrics["per_clip"]]
        self.ranked_by = str(candidates[0].metrics["ranked_by"])
        self._bootstrap: dict[str, Any] = {"num_samples": num_samples, "seed": seed}

    def clips(self, candidate: Candidate) -> list[dict[str, float]]:
        """The numbers of every clip in the order of `names`."""
        return [candidate.by_name[name] for name in self.names]

    def columns(self, metric: str) -> Float64[np.ndarray, "candidates n"]:
        """One metric of all candidates; nan where one of them does not have it of a clip."""
        columns = np.stack([summary.column(self.clips(c), metric) for c in self.candidates])
        return np.where(np.isnan(columns).any(axis=0), math.nan, columns)

    def values(self, metric: str) -> Sequence[Entry]:
        """The mean of a metric, of every candidate."""
        return self._means(metric)[0]

    def rows(self) -> list[Compared]:
        """The evaluators' rows about the student."""
        found = []
        for row in table.rows(self.candidates[0].metrics):
            metric = row.metric.format(STUDENT)
            made = self._compare(row.section, metric)
            if made is not None:
                found.append(Compared(row.section, metric, row.heading, row.decimals, *made))
        return found

    def everything(self, decimals: int = 4) -> list[Compared]:
        """Every mean and correlation about the student."""
        metrics = self.candidates[0].metrics
        found = []
        for section in ("mean", "correlation"):
            for metric in metrics.get(section, {}):
                made = self._compare(section, metric) if f"/{STUDENT}" in metric else None
                if made is not None:
                    found.append(Compared(section, metric, metric, decimals, *made))
        return found

    def subsets(self) -> list[tuple[subsets.Subset, list[Compared]]]:
        """Means by subset of the clips, which are the same for all candidates."""
        first = self.clips(self.candidates[0])
        metrics = subsets.metrics_of(first)
        return [
            (
                subset,
                [
                    Compared("mean", name, heading, decimals, *self._means(name, subset.clips))
                    for heading, name, decimals in metrics
                ],
            )
            for subset in subsets.find(first)
        ]

    def most_different(self, count: int) -> list[int]:
        """The clips on which a candidate and the first differ most, by `ranked_by`."""
        columns = self.columns(self.ranked_by)
        apart = np.abs(columns[1:] - columns[0]).max(axis=0)
        order = np.argsort(-np.nan_to_num(apart, nan=-1.0), kind="stable")
        return [int(index) for index in order[:count] if not np.isnan(apart[index])]

    def to_json(self) -> dict[str, Any]:
        """All numbers, for a file."""
        return {
            "candidates": [
                {
                    "label": c.label,
                    "directory": c.directory,
                    "student": c.metrics["models"][STUDENT],
                    "num_weights": c.metrics["num_weights"],
                }
                for c in self.candidates
            ],
            "num_clips": len(self.names),
            "ranked_by": self.ranked_by,
            "numbers": [_to_json(row) for row in self.everything()],
            "subsets": {
                subset.name: {
                    "count": int(subset.clips.sum()),
                    "numbers": [_to_json(row) for row in rows],
                }
                for subset, rows in self.subsets()
            },
            "most_different": [self.names[i] for i in self.most_different(len(self.names))],
        }

    def _compare(self, section: str, metric: str) -> tuple[Sequence[Entry], Sequence[Entry]] | None:
        found = self._correlations(metric) if section == "correlation" else self._means(metric)
        return found if found[0][0]["count"] else None

    def _means(
        self, metric: str, chosen: np.ndarray | slice = slice(None)
    ) -> tuple[Sequence[Entry], Sequence[Entry]]:
        columns = self.columns(metric)[:, chosen]
        values = [summary.mean_entry(column, **self._bootstrap) for column in columns]
        apart = [summary.mean_entry(c - columns[0], **self._bootstrap) for c in columns[1:]]
        return values, apart

    def _correlations(self, metric: str) -> tuple[Sequence[Entry], Sequence[Entry]]:
        what, _, pair = metric.partition(f"/{STUDENT}_vs_")
        first = f"{what}/{STUDENT}"
        # The ejection fraction that is recorded has one name for all ways to measure it.
        second = "ef/recorded" if pair == "recorded" else f"{what}/{pair}"
        x, y = self.columns(first), self.columns(second)
        known = ~np.isnan(x[0]) & ~np.isnan(y[0])
        pairs = [(a[known], b[known]) for a, b in zip(x, y)]
        count = int(known.sum()) if known.sum() >= MIN_CLIPS_OF_CORRELATION else 0
        if not count:
            return [{"value": math.nan, "ci95": (math.nan, math.nan), "count": 0}], []
        values = [
            {
                "value": pearson(*pair),
                "ci95": interval_of_pearson(*pair, **self._bootstrap),
                "count": count,
            }
            for pair in pairs
        ]
        apart = [
            {
                "value": value["value"] - values[0]["value"],
                "ci95": interval_of_pearson_difference(pairs[0], pair, **self._bootstrap),
                "count": count,
            }
            for pair, value in zip(pairs[1:], values[1:])
        ]
        return values, apart


def differs(difference: Entry) -> bool:
    """Whether the interval of a difference leaves 0 out."""
    low, high = difference["ci95"]
    return bool(low > 0 or high < 0)


def _to_json(row: Compared) -> dict[str, Any]:
    return {
        "section": row.section,
        "metric": row.metric,
        "values": list(row.values),
        "differences": list(row.differences),
    }
