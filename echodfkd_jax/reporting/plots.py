"""Figures as PNG, in a light and a dark style; matplotlib is imported when one is drawn."""

import contextlib
import io
import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from jaxtyping import Float

from echodfkd_jax.reporting.colours import as_hex

DPI = 110
STYLES = ("light", "dark")
_INK = {"light": "#24292f", "dark": "#d7dde4"}
_SOFT_INK = {"light": "#9aa4af", "dark": "#77818c"}
_PAPER = {"light": "#ffffff", "dark": "#161b22"}
_DOUBT = {"light": "#fbe3c4", "dark": "#4a3a1c"}
_GRID = {"light": "#e4e7eb", "dark": "#30363d"}

Lines = Sequence[Mapping[str, Any]]


def loss_curves(lines: Lines, style: str = "light") -> bytes:
    """Training loss over steps with the validation loss, and the validation Dice beside them.

    Args:
        lines: of metrics.jsonl; those without a tag are passed over for it.
        style: "light" or "dark".

    Returns:
        PNG.
    """
    with drawing(style, (8.4, 3.0), columns=2) as (figure, axes):
        loss_axis, dice_axis = axes
        curves = (
            (loss_axis, "train/loss", "training", _SOFT_INK[style]),
            (loss_axis, "validation/loss", "validation", as_hex("student")),
            (dice_axis, "validation/dice", "validation", as_hex("student")),
        )
        for axis, tag, label, colour in curves:
            points = [(line["step"], line[tag]) for line in lines if line.get(tag) is not None]
            if points:
                marker = "o" if len(points) < 60 and tag != "train/loss" else ""
                axis.plot(*zip(*points), color=colour, label=label, marker=marker, ms=3)
        losses = [line[t] for line in lines for t in ("train/loss", "validation/loss") if t in line]
        if losses and min(losses) > 0:
            loss_axis.set_yscale("log")
        loss_axis.set(title="Loss (binary cross-entropy)", xlabel="step")
        dice_axis.set(title="Dice on validation windows", xlabel="step")
        if losses:
            loss_axis.legend()
        return to_png(figure)


def area_curves(
    areas: Mapping[str, Float[np.ndarray, "t"]],
    ed_frame: int | Sequence[int],
    es_frame: int | Sequence[int],
    *,
    fps: float = math.nan,
    times_s: Float[np.ndarray, "t"] | None = None,
    colours: Mapping[str, str] | None = None,
    doubted: Sequence[int] = (),
    style: str = "light",
) -> bytes:
    """Area of the left ventricle over time, with ED and ES marked.

    Args:
        areas: pixels per frame, by model; nan where a frame has no mask (drawn as points).
        ed_frame: end-diastole, or those of several beats.
        es_frame: end-systole, or those of several beats.
        fps: for an axis in seconds; nan: frames.
        times_s: of every frame, where they are not evenly spaced.
        colours: `#rrggbb` by model, where it is none that has a colour of its own.
        doubted: frames whose outline is doubted; they are shaded.
        style: "light" or "dark".

    Returns:
        PNG.
    """
    in_seconds = times_s is not None or (math.isfinite(fps) and fps > 0)
    if times_s is None:
        num_frames = max((len(area) for area in areas.values()), default=0)
        times_s = np.arange(num_frames) / (fps if in_seconds else 1.0)
    with drawing(style, (5.6, 2.4)) as (figure, (axis,)):
        for model, area in areas.items():
            known = np.flatnonzero(~np.isnan(area))
            if len(known) == 0:
                continue
            # The reference lies below the others and is wider, so that both can be seen.
            below = model == "reference"
            sparse = len(known) < len(area)
            axis.plot(
                times_s[known],
                area[known],
                label=model,
                color=(colours or {}).get(model) or as_hex(model),
                linewidth=3.5 if below else 1.6,
                alpha=0.6 if below else 1.0,
                linestyle="none" if sparse else "-",
                marker="o" if sparse else "",
                zorder={"reference": 1, "student": 3}.get(model, 2),
            )
        half = (times_s[-1] - times_s[0]) / max(len(times_s) - 1, 1) / 2 if len(times_s) else 0.5
        for number, frame in enumerate(doubted):
            span = times_s[frame] - half, times_s[frame] + half
            name = "_" if number else "outline doubted"  # Once in the legend.
            axis.axvspan(*span, color=_DOUBT[style], linewidth=0, zorder=0, label=name)
        marks = [(frame, "ED") for frame in np.atleast_1d(ed_frame)]
        marks += [(frame, "ES") for frame in np.atleast_1d(es_frame)]
        for frame, name in marks:
            axis.axvline(times_s[frame], color=_INK[style], linewidth=0.9, linestyle=":")
            axis.annotate(
                name,
                (times_s[frame], 1.0),
                xycoords=("data", "axes fraction"),
                xytext=(2, -10),
                textcoords="offset points",
                fontsize=8,
            )
        axis.set(ylabel="area, pixels", xlabel="time, s" if in_seconds else "frame")
        axis.set_ylim(bottom=0)
        axis.legend(loc="lower right", ncols=len(areas) + 1)
        return to_png(figure)


def ejection_fractions(
    recorded: Float[np.ndarray, "n"],
    estimates: Mapping[str, Float[np.ndarray, "n"]],
    *,
    label: str = "recorded",
    style: str = "light",
) -> bytes:
    """Estimated against recorded ejection fraction, one point per clip, percent.

    Args:
        recorded: x; clips with nan are left out.
        estimates: y, by model.
        label: what x is.
        style: "light" or "dark".

    Returns:
        PNG.
    """
    with drawing(style, (4.2, 4.0)) as (figure, (axis,)):
        limits = [0.0, 100.0]
        for model, values in estimates.items():
            known = ~np.isnan(recorded) & ~np.isnan(values)
            axis.scatter(
                recorded[known], values[known], s=18, alpha=0.75, color=as_hex(model), label=model
            )
            if known.any():
                limits[0] = min(limits[0], float(values[known].min()))
        axis.plot(limits, limits, color=_INK[style], linewidth=0.8, linestyle=":")
        axis.set(xlabel=f"EF {label}, %", ylabel="EF estimated, %", xlim=limits, ylim=limits)
        axis.legend(loc="upper left")
        return to_png(figure)


def bland_altman(
    values: Float[np.ndarray, "n"],
    reference: Float[np.ndarray, "n"],
    agreement: tuple[float, float, float],
    unit: str,
    *,
    title: str = "",
    style: str = "light",
) -> bytes:
    """Difference over mean of two ways of measuring, one point per clip (Bland and Altman, 1986).

    Args:
        values: the student's; clips with nan on either side are left out.
        reference: what they are compared with.
        agreement: bias, lower and upper limit of agreement, which are drawn as lines.
        unit: of all of them.
        title: what is measured.
        style: "light" or "dark".

    Returns:
        PNG.
    """
    with drawing(style, (4.2, 4.0)) as (figure, (axis,)):
        known = ~np.isnan(values) & ~np.isnan(reference)
        x, y = (values + reference)[known] / 2, (values - reference)[known]
        axis.scatter(x, y, s=18, alpha=0.75, color=as_hex("student"))
        axis.axhline(0, color=_SOFT_INK[style], linewidth=0.8, linestyle=":")
        names = ("bias", "lower limit", "upper limit")
        for name, value, line in zip(names, agreement, ("-", "--", "--")):
            axis.axhline(value, color=_INK[style], linewidth=1.0, linestyle=line)
            axis.annotate(
                f"{name} {value:+.1f}",
                (1.0, value),
                xycoords=("axes fraction", "data"),
                xytext=(-2, 3),
                textcoords="offset points",
                ha="right",
                fontsize=8,
                bbox={"facecolor": _PAPER[style], "edgecolor": "none", "alpha": 0.8, "pad": 1},
            )
        axis.set(
            title=title,
            xlabel=f"mean of student and reference, {unit}",
            ylabel=f"student - reference, {unit}",
        )
        # Room for both limits and what is written at the upper one.
        reach = 1.2 * max(np.abs(agreement).max(), np.abs(y).max(initial=0.0), 1e-6)
        axis.set_ylim(-reach, reach)
        return to_png(figure)


def score_histogram(
    scores: Mapping[str, Float[np.ndarray, "n"]], label: str, style: str = "light"
) -> bytes:
    """How a score from 0 to 1 is spread over the clips, by model.

    Returns:
        PNG.
    """
    with drawing(style, (4.2, 4.0)) as (figure, (axis,)):
        known = {model: values[~np.isnan(values)] for model, values in scores.items()}
        lowest = min((float(v.min()) for v in known.values() if len(v)), default=0.0)
        bins = np.linspace(min(math.floor(lowest * 10) / 10, 0.9), 1.0, 21)
        for model, values in known.items():
            axis.hist(values, bins, alpha=0.55, color=as_hex(model), label=model)
        axis.set(xlabel=label, ylabel="clips")
        if known:
            axis.legend(loc="upper left")
        return to_png(figure)


def reliability(
    curves: Mapping[str, tuple[Float[np.ndarray, "bins"], Float[np.ndarray, "bins"]]],
    label: str,
    style: str = "light",
) -> bytes:
    """How often a pixel of a certain probability is inside; the diagonal is perfect.

    Args:
        curves: probability and frequency by bin, by model; nan where a bin is empty.
        label: what the frequency is of.
        style: "light" or "dark".

    Returns:
        PNG.
    """
    with drawing(style, (4.2, 4.0)) as (figure, (axis,)):
        axis.plot([0, 1], [0, 1], color=_INK[style], linewidth=0.8, linestyle=":")
        for model, (probability, frequency) in curves.items():
            known = ~np.isnan(probability)
            axis.plot(
                probability[known],
                frequency[known],
                color=as_hex(model),
                label=model,
                marker="o",
                markersize=4,
            )
        axis.set(xlabel="probability of a pixel", ylabel=label, xlim=(0, 1), ylim=(0, 1))
        axis.legend(loc="upper left")
        return to_png(figure)


def frontier(
    points: Mapping[str, Sequence[tuple[float, float, str]]],
    curves: Mapping[str, tuple[Float[np.ndarray, "n"], Float[np.ndarray, "n"]]],
    style: str = "light",
) -> bytes:
    """ln(1 - Dice) over ln(weights), as the published figure draws it.

    Args:
        points: ln(weights), ln(1 - Dice) and a label per network, by what they are called together;
            the first of them are the student's, the others stand for comparison.
        curves: ln(weights) and ln(1 - Dice), by the name of the points they were fitted to.
        style: "light" or "dark".

    Returns:
        PNG.
    """
    with drawing(style, (7.2, 4.4)) as (figure, (axis,)):
        for index, (name, group) in enumerate(points.items()):
            colour = as_hex("student") if index == 0 else _SOFT_INK[style]
            x, y = [p[0] for p in group], [p[1] for p in group]
            axis.scatter(x, y, s=26, color=colour, label=name, zorder=3 - index)
            for log_weights, log_miss, label in group:
                axis.annotate(
                    label,
                    (log_weights, log_miss),
                    xytext=(4, 3),
                    textcoords="offset points",
                    fontsize=7,
                    color=_INK[style] if index == 0 else _SOFT_INK[style],
                )
            if name in curves:
                axis.plot(*curves[name], color=colour, linewidth=1.2, zorder=2 - index)
        axis.margins(0.08)  # For the names.
        axis.set(xlabel="ln(weights)", ylabel="ln(1 - Dice)")
        axis.legend(loc="upper right")
        return to_png(figure)


@contextlib.contextmanager
def drawing(style: str, size: tuple[float, float], columns: int = 1) -> Iterator[tuple[Any, Any]]:
    """A figure without pyplot, so that no state is shared and no window system is looked for."""
    import matplotlib
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    ink, paper, grid = _INK[style], _PAPER[style], _GRID[style]
    look: dict[Any, Any] = {
        "text.color": ink,
        "axes.edgecolor": grid,
        "axes.labelcolor": ink,
        "axes.titlesize": 10,
        "axes.labelsize": 9,
        "axes.facecolor": paper,
        "figure.facecolor": paper,
        "xtick.color": ink,
        "ytick.color": ink,
        "xtick.labelsize": 8,
        "ytick.labelsize": 8,
        "grid.color": grid,
        "axes.grid": True,
        "axes.axisbelow": True,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "legend.fontsize": 8,
        "legend.frameon": False,
    }
    with matplotlib.rc_context(look):
        figure = Figure(figsize=size, dpi=DPI, layout="constrained")
        FigureCanvasAgg(figure)
        yield figure, figure.subplots(1, columns, squeeze=False)[0]


def to_png(figure: Any) -> bytes:
    """A figure as PNG."""
    buffer = io.BytesIO()
    # Without the software's version in it, the same numbers give the same bytes.
    figure.savefig(buffer, format="png", metadata={"Software": None})
    return buffer.getvalue()
