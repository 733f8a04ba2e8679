"""The few numbers of an evaluation that fit on a screen."""

from collections.abc import Mapping
from typing import Any, NamedTuple

# Metric, heading and decimals; `{}` is the model. Rows that no model has are left out.
ROWS = (
    ("mean", "dice/{}_vs_teacher", "Dice, against the teacher", 3),
    ("mean", "dice/{}_vs_reference", "Dice, against the reference", 3),
    ("mean", "dice_ed/{}_vs_reference", "  at end-diastole", 3),
    ("mean", "dice_es/{}_vs_reference", "  at end-systole", 3),
    ("mean", "afd_ed/{}_vs_reference", "ED off by, frames", 1),
    ("mean", "afd_es/{}_vs_reference", "ES off by, frames", 1),
    ("mean", "afd_ed/{}_vs_teacher", "ED off the teacher's by, frames", 1),
    ("mean", "afd_es/{}_vs_teacher", "ES off the teacher's by, frames", 1),
    ("mean", "calibration_error/{}_vs_reference", "Calibration error", 4),
    ("mean", "calibration_error/{}_vs_teacher", "  against the teacher, cut at 1/2", 4),
    ("correlation", "ef_area/{}_vs_recorded", "EF by areas, r with recorded", 2),
    ("correlation", "ef_disks/{}_vs_recorded", "EF by disks, r with recorded", 2),
    ("correlation", "ef_area/{}_vs_teacher", "EF by areas, r with teacher's", 2),
)
_MEAN_SOURCES = (("value", "mean"), ("ci95", "ci95"), ("count", "count"))


def entry(metrics: Mapping[str, Any], section: str, name: str) -> Mapping[str, Any] | None:
    """One number as `value`, `ci95` and `count`, or None where the file does not have it.

    Args:
        metrics: content of metrics.json.
        section: "mean" or "correlation".
        name: of the metric.
    """
    if section == "mean":
        if metrics["mean"].get(name) is None:
            return None
        return {key: metrics[source][name] for key, source in _MEAN_SOURCES}
    found = metrics.get(section, {}).get(name)
    return found if found and found["value"] is not None else None


def format_entry(found: Mapping[str, Any] | None, decimals: int) -> str:
    """`0.912 [0.90, 0.92]`; a dash for None."""
    if found is None:
        return "-"
    text = f"{found['value']:.{decimals}f}"
    low, high = found.get("ci95") or found.get("interval")
    if low is None:
        return text
    return f"{text} [{low:.{decimals}f}, {high:.{decimals}f}]"


class Row(NamedTuple):
    """One metric.

    Attributes:
        heading: what it is.
        cells: one per model, as text.
        count: clips that went into it, as text; a range where models differ.
    """

    heading: str
    cells: list[str]
    count: str


def rows(metrics: Mapping[str, Any]) -> list[Row]:
    """The rows of `ROWS` that say something; a cell per model of `metrics["models"]`."""
    found = []
    for section, pattern, heading, decimals in ROWS:
        entries = [entry(metrics, section, pattern.format(model)) for model in metrics["models"]]
        counts = sorted({cell["count"] for cell in entries if cell})
        if counts:
            cells = [format_entry(cell, decimals) for cell in entries]
            count = "-".join(str(counts[i]) for i in sorted({0, len(counts) - 1}))
            found.append(Row(heading, cells, count))
    return found


def lines(metrics: Mapping[str, Any]) -> list[str]:
    """The table as text, one line per row; intervals are 95 % over clips."""
    body = rows(metrics)
    grid = [["", *metrics["models"], "clips"]]
    grid += [[row.heading, *row.cells, row.count] for row in body]
    widths = [max(len(line[column]) for line in grid) for column in range(len(grid[0]))]
    return [
        "  " + "  ".join(f"{cell:<{width}}" for cell, width in zip(line, widths)).rstrip()
        for line in grid
    ]
