"""The numbers of an evaluation as tables: the few that fit on a screen, and all of them.

What is in them is in metrics.json: `tables` has the rows and groups of the evaluators.
"""

import fnmatch
import math
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple

from echodfkd_jax.evaluation.evaluator import Evaluator, Group, Row
from echodfkd_jax.masks import LV, name_in

_MEAN_SOURCES = (("value", "mean"), ("ci95", "ci95"), ("count", "count"))


class Line(NamedTuple):
    """One metric.

    Attributes:
        heading: what it is.
        cells: one per model, as text.
        count: clips that went into it, as text; a range where models differ.
    """

    heading: str
    cells: list[str]
    count: str


def describe(evaluators: Iterable[Evaluator]) -> dict[str, Any]:
    """The section `tables` of metrics.json."""
    evaluators = list(evaluators)
    return {
        "rows": [list(row) for evaluator in evaluators for row in evaluator.rows],
        "groups": [list(group) for evaluator in evaluators for group in evaluator.groups],
    }


def rows(metrics: Mapping[str, Any]) -> Iterator[Row]:
    """The evaluators' rows, for every structure that was evaluated."""
    for structure in metrics["structures"]:
        for values in metrics["tables"]["rows"]:
            row = Row._make(values)
            yield row._replace(
                metric=name_in(structure, row.metric), heading=_heading(structure, row)
            )


def lines(metrics: Mapping[str, Any]) -> list[Line]:
    """The evaluators' rows that say something; a cell per model of `metrics["models"]`."""
    found = []
    for section, pattern, heading, decimals in rows(metrics):
        entries = [entry(metrics, section, pattern.format(model)) for model in metrics["models"]]
        counts = sorted({cell["count"] for cell in entries if cell})
        if counts:
            cells = [format_entry(cell, decimals) for cell in entries]
            count = "-".join(str(counts[i]) for i in sorted({0, len(counts) - 1}))
            found.append(Line(heading, cells, count))
    return found


def text(metrics: Mapping[str, Any]) -> list[str]:
    """`lines` for a terminal; intervals are 95 % over clips."""
    grid = [["", *metrics["models"], "clips"]]
    grid += [[line.heading, *line.cells, line.count] for line in lines(metrics)]
    widths = [max(len(line[column]) for line in grid) for column in range(len(grid[0]))]
    return [
        "  " + "  ".join(f"{cell:<{width}}" for cell, width in zip(line, widths)).rstrip()
        for line in grid
    ]


def markdown(metrics: Mapping[str, Any]) -> str:
    """`lines` as a table of Markdown."""
    grid = [["", *metrics["models"], "clips"], ["---"] * (len(metrics["models"]) + 2)]
    grid += [[line.heading.strip(), *line.cells, line.count] for line in lines(metrics)]
    return "\n".join("| " + " | ".join(row) + " |" for row in grid)


def tag(section: str, name: str) -> str:
    """What a number is called in TensorBoard."""
    return name if section == "mean" else f"{section.rpartition('/')[2]}/{name}"


def groups(metrics: Mapping[str, Any]) -> list[tuple[Group, list[list[str]]]]:
    """The evaluators' own tables: name, value with interval, and count of what they are about."""
    made = [Group._make(values) for values in metrics["tables"]["groups"]]
    return [(group, _cells(_of_group(metrics, group), group.decimals)) for group in made]


def everything(metrics: Mapping[str, Any], decimals: int = 4) -> list[list[str]]:
    """Name, value with interval and count of every number over clips."""
    return _cells(entries(metrics), decimals)


def entries(metrics: Mapping[str, Any]) -> Iterator[tuple[str, str, Mapping[str, Any]]]:
    """Every number over clips: section, such as "mean" or "protocols/paper", name, and entry.

    Sections may be nested; what has a value and a count is an entry. Those whose value is unknown
    are left out.
    """
    for name in metrics["mean"]:
        found = entry(metrics, "mean", name)
        if found is not None:
            yield "mean", name, found
    for section, content in metrics.items():
        yield from _below(section, content)


def entry(metrics: Mapping[str, Any], section: str, name: str) -> Mapping[str, Any] | None:
    """One number as `value`, `ci95` and `count`, or None where the file does not have it.

    Args:
        metrics: content of metrics.json.
        section: "mean", "correlation", or what an evaluator calls its own.
        name: of the metric.
    """
    if section == "mean":
        if metrics["mean"].get(name) is None:
            return None
        return {key: metrics[source][name] for key, source in _MEAN_SOURCES}
    found: Any = metrics
    for part in (*section.split("/"), name):
        found = found.get(part, {})
    return found if found and found["value"] is not None else None


def format_entry(found: Mapping[str, Any] | None, decimals: int) -> str:
    """`0.912 [0.90, 0.92]`; a dash for None."""
    if found is None:
        return "-"
    value = f"{found['value']:.{decimals}f}"
    low, high = found.get("ci95") or found["interval"]
    if low is None or math.isnan(low):  # Of one clip alone.
        return value
    return f"{value} [{low:.{decimals}f}, {high:.{decimals}f}]"


def _heading(structure: str, row: Row) -> str:
    return row.heading if structure == LV else f"{row.heading}, {structure}"


def _below(section: str, content: Any) -> Iterator[tuple[str, str, Mapping[str, Any]]]:
    if not isinstance(content, Mapping):
        return
    for name, value in content.items():
        if isinstance(value, Mapping) and {"value", "count"} <= value.keys():
            if value["value"] is not None:
                yield section, name, value
        else:
            yield from _below(f"{section}/{name}", value)


def _of_group(
    metrics: Mapping[str, Any], group: Group
) -> Iterator[tuple[str, str, Mapping[str, Any]]]:
    for section, name, found in entries(metrics):
        shown = any(fnmatch.fnmatchcase(name, pattern) for pattern in group.metrics)
        if section in group.sections and shown:
            yield section, name, found


def _cells(found: Iterable[tuple[str, str, Mapping[str, Any]]], decimals: int) -> list[list[str]]:
    """Correlations are marked with their r, of which a metric may have the same name."""
    rows = []
    for section, name, found_entry in found:
        label = f"{name} (r)" if section == "correlation" else name
        rows.append([label, format_entry(found_entry, decimals), str(found_entry["count"])])
    return rows
