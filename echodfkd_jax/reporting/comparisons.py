"""Several students on the same clips, as the page of a comparison shows them."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from jaxtyping import Float64

from echodfkd_jax.evaluation import files
from echodfkd_jax.evaluation.comparison import Compared, Comparison, differs
from echodfkd_jax.evaluation.table import format_entry
from echodfkd_jax.reporting import colours, html, plots
from echodfkd_jax.reporting.figures import FigureFolder

# After a difference whose interval leaves 0 out.
MARK = " *"
_NOTE = (
    "95 % bootstrap intervals; a difference is that of the same clips, drawn together. "
    f"{MARK.strip()}: its interval leaves 0 out, which one in twenty does by chance."
)


def comparison_view(
    save: FigureFolder, comparison: Comparison, *, number: int, num_clips: int
) -> html.ComparedView:
    """The section of one set of clips.

    Args:
        save: where figures are kept.
        comparison: of the students.
        number: of the section.
        num_clips: that are shown.
    """
    metrics = comparison.candidates[0].metrics
    labels = [candidate.label for candidate in comparison.candidates]
    colour = colours.of_candidates(labels)
    heads = ["", *labels, *(f"{label} - {labels[0]}" for label in labels[1:]), "clips"]
    return html.ComparedView(
        name=f"{metrics['name']}: {len(comparison.names)} clips of {metrics['data']['directory']}",
        candidates=_candidates(comparison),
        notes=_notes(comparison),
        tables=[
            html.Table("Numbers", _NOTE, heads, [_cells(row) for row in comparison.rows()]),
            *_subset_tables(comparison, heads),
        ],
        details=html.Table(
            "All numbers",
            "Of the student; also in comparison.json and comparison.csv.",
            heads,
            [_cells(row) for row in comparison.everything()],
        ),
        figures=_figures(save, comparison, colour, f"{number:02d}"),
        legend=[*colour.items(), *((m, colours.as_hex(m)) for m in ("teacher", "reference"))],
        clips=_clips(save, comparison, colour, f"{number:02d}", num_clips),
    )


def _candidates(comparison: Comparison) -> html.Table:
    rows = []
    for candidate in comparison.candidates:
        metrics = candidate.metrics
        step = metrics["checkpoint_step"]
        checkpoint = metrics["checkpoint"] if step is None else f"step {step}"
        rows.append(
            [
                candidate.label,
                f"{metrics['num_weights']:,}",
                str(checkpoint),
                metrics["models"]["student"],
                candidate.directory,
            ]
        )
    return html.Table("", "", ["", "weights", "checkpoint", "fingerprint", "evaluation"], rows)


def _notes(comparison: Comparison) -> list[str]:
    notes = []
    if len({c.metrics["inputs"]["data"] for c in comparison.candidates}) > 1:
        notes.append(
            "The clips have the same names and lengths, but their masks or data sets differ: the "
            "teachers that they are compared with may be others."
        )
    if len({c.metrics["inputs"]["refined"] for c in comparison.candidates}) > 1:
        refined = [c.label for c in comparison.candidates if c.metrics["inputs"]["refined"]]
        notes.append(f"Masks were refined (config.student.refine) of {', '.join(refined)} alone.")
    return notes


def _cells(row: Compared) -> list[str]:
    differences = [
        format_entry(d, row.decimals) + MARK * differs(d) if d["count"] else "-"
        for d in row.differences
    ]
    values = [format_entry(v, row.decimals) if v["count"] else "-" for v in row.values]
    return [row.heading, *values, *differences, str(row.values[0]["count"])]


def _subset_tables(comparison: Comparison, heads: Sequence[str]) -> list[html.Table]:
    by_subset = comparison.subsets()
    return [
        html.Table(
            f"By subset: {by_subset[0][1][column].heading}",
            "Subsets by the recorded ejection fraction, the frame rate and the contrast of the "
            "ventricle's border, as far as they are known.",
            heads,
            [
                _cells(rows[column]._replace(heading=subset.name))
                for subset, rows in by_subset
                if rows[column].values[0]["count"]
            ],
        )
        for column in range(len(by_subset[0][1]))
    ]


def _figures(
    save: FigureFolder, comparison: Comparison, colour: Mapping[str, str], stem: str
) -> list[html.Figure]:
    labels, scores = list(colour), comparison.columns(comparison.ranked_by)
    against = comparison.ranked_by.rpartition("_vs_")[2]
    label = f"Dice against the {against}, mean over frames"
    figures = [
        save.figure(
            f"{stem}_scores.png",
            f"{label}, of every clip: the others over {labels[0]}",
            paired_scores,
            dict(zip(labels, scores)),
            colour,
            label,
        )
    ]
    sizes = [candidate.metrics["num_weights"] for candidate in comparison.candidates]
    means = [entry["value"] for entry in comparison.values(comparison.ranked_by)]
    if len(set(sizes)) > 1 and all(mean < 1 for mean in means):
        points = [
            (math.log(size), math.log(1 - mean), name)
            for size, mean, name in zip(sizes, means, labels)
        ]
        figures.append(
            save.figure(
                f"{stem}_frontier.png",
                f"1 - Dice against the {against} over the number of weights, both as logarithms",
                plots.frontier,
                {f"Dice against the {against}": points},
                {},
            )
        )
    return figures


def _clips(
    save: FigureFolder,
    comparison: Comparison,
    colour: Mapping[str, str],
    stem: str,
    num_clips: int,
) -> list[html.PairView]:
    areas = [files.read_frames(candidate.directory) for candidate in comparison.candidates]
    scores = comparison.columns(comparison.ranked_by)
    clips = comparison.clips(comparison.candidates[0])
    views = []
    for place, index in enumerate(comparison.most_different(num_clips)):
        name, numbers = comparison.names[index], clips[index]
        curves = _curves(list(colour), [of.get(name, {}) for of in areas])
        curve = None
        if curves:
            curve = save.figure(
                f"{stem}_{place:03d}_area.png",
                f"Area of the left ventricle over time in clip {name}",
                plots.area_curves,
                curves,
                int(numbers["ed_frame"]),
                int(numbers["es_frame"]),
                fps=numbers["fps"],
                colours=colour,
            )
        facts = [(f"Dice, {label}", f"{s:.3f}") for label, s in zip(colour, scores[:, index])]
        views.append(html.PairView(name, facts, curve))
    return views


def _curves(
    labels: Sequence[str], areas: Sequence[Mapping[str, Float64[np.ndarray, "_"]]]
) -> dict[str, Any]:
    """Areas by student, and those of what they are compared with, by the first that has them."""
    found = {label: of["student"] for label, of in zip(labels, areas) if "student" in of}
    for model in ("teacher", "reference"):
        known = [of[model] for of in areas if model in of and not np.isnan(of[model]).all()]
        if known and found:
            found[model] = known[0]
    return found


def paired_scores(
    scores: Mapping[str, Float64[np.ndarray, "n"]],
    colour: Mapping[str, str],
    label: str,
    style: str = "light",
) -> bytes:
    """A score of every clip, of the others over the first; above the diagonal they are better.

    Args:
        scores: by student; clips with nan are left out.
        colour: `#rrggbb` by student.
        label: of the score.
        style: "light" or "dark".

    Returns:
        PNG.
    """
    (first, x), *others = scores.items()
    with plots.drawing(style, (4.8, 4.6)) as (figure, (axis,)):
        known = x[~np.isnan(x)]
        lowest = min(float(np.nanmin([known.min(), *y[~np.isnan(y)]])) for _, y in others)
        limits = (math.floor(20 * lowest - 0.1) / 20, 1.0)
        axis.plot(limits, limits, linewidth=0.8, linestyle=":", color="gray")
        for name, y in others:
            axis.scatter(x, y, s=18, alpha=0.75, color=colour[name], label=name)
        axis.set(xlim=limits, ylim=limits, xlabel=f"{first}\n{label}", ylabel="the others")
        axis.legend(loc="upper left")
        return plots.to_png(figure)
