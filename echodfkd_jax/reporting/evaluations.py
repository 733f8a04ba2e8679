"""One evaluation on the report's page: tables, figures over all clips, and the clips shown."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import tqdm
from etils import epath

from echodfkd_jax.evaluation import files, subsets, summary, table
from echodfkd_jax.evaluation.evaluator import area_curves
from echodfkd_jax.evaluation.files import ShownClip
from echodfkd_jax.masks import LV, MASK_THRESHOLD, name_in
from echodfkd_jax.measurement.measures import KINDS
from echodfkd_jax.reporting import colours, html, overlays, plots
from echodfkd_jax.reporting.figures import FigureFolder

# Bars over the frames of end-diastole and end-systole.
ED_MARK = (255, 255, 255)
ES_MARK = (150, 150, 150)
# Measures whose agreement with the reference's is drawn.
AGREEMENT = ("lv_ef_disks", "lv_strain", "mitral_excursion", "la_emptying")


def evaluation_view(
    save: FigureFolder, directory: epath.Path, metrics: Mapping[str, Any]
) -> html.EvaluationView:
    """The section of one evaluation.

    Args:
        save: where figures are kept.
        directory: of the evaluation.
        metrics: content of its metrics.json.
    """
    name, models = metrics["name"], list(metrics["models"])
    clips = tqdm.tqdm(files.read_shown(directory), f"drawing {name}", unit="clip")
    by_name = {numbers["name"]: numbers for numbers in metrics["per_clip"]}
    return html.EvaluationView(
        name=name,
        facts=_data_facts(metrics),
        notes=_notes(metrics),
        summary=html.Table(
            "Numbers",
            "Mean over clips, or correlation r over clips, with the 95 % bootstrap interval.",
            ["", *models, "clips"],
            [[line.heading, *line.cells, line.count] for line in table.lines(metrics)],
        ),
        groups=[
            _subsets(metrics),
            *(
                html.Table(group.title, group.note, ["", "value [95 %]", "clips"], rows)
                for group, rows in table.groups(metrics)
            ),
        ],
        details=html.Table(
            "All metrics",
            "As in metrics.json, which also has them per clip.",
            ["metric", "mean or r [95 %]", "clips"],
            table.everything(metrics),
        ),
        figures=_overall_figures(save, metrics, models),
        legend=[
            (label, colours.as_hex(label))
            for label in [*models, "reference", *metrics["structures"][1:]]
        ],
        clips=[
            _clip(save, f"{name}_{number:03d}", clip, by_name.get(clip.name, {}), metrics)
            for number, clip in enumerate(clips)
        ],
    )


def _subsets(metrics: Mapping[str, Any]) -> html.Table:
    clips = [files.numbers_of(clip) for clip in metrics["per_clip"]]
    how = metrics.get("inputs", {})
    names, rows = subsets.table(
        clips, num_samples=how.get("bootstrap_samples", 1000), seed=how.get("seed", 0)
    )
    told = subsets.metrics_of(clips)
    return html.Table(
        "By subset of the clips",
        "The student's means with 95 % bootstrap intervals, by recorded ejection fraction, frame "
        "rate, and contrast of the ventricle's border (poor acoustic windows show it faintly).",
        ["", *(heading for heading, _, _ in told), "clips"],
        [
            [
                name,
                *(
                    table.format_entry(entry, decimals) if subsets.is_known(entry) else "-"
                    for entry, (_, _, decimals) in zip(entries, told)
                ),
                str(max((entry["count"] for entry in entries), default=0)),
            ]
            for name, entries in zip(names, rows)
        ],
    )


def _data_facts(metrics: Mapping[str, Any]) -> list[tuple[str, str]]:
    data, step, checkpoint = (metrics[key] for key in ("data", "checkpoint_step", "checkpoint"))
    left_out = f", {len(metrics.get('left_out', []))} left out"
    facts = [
        ("clips", f"{metrics['num_clips']} ({data['split']}) of {data['directory']}{left_out}"),
        ("checkpoint", checkpoint if step is None else f"step {step} ({checkpoint})"),
    ]
    facts += [(model, str(origin)) for model, origin in metrics["models"].items()]
    if data.get("generator_version"):
        facts.append(("generator", str(data["generator_version"])))
    return facts


def _notes(metrics: Mapping[str, Any]) -> list[str]:
    sources = metrics["phase_frames"]
    notes = []
    if "known" in sources:
        notes.append(f"End-diastole and end-systole are known for {sources['known']} clips.")
    for model in ("teacher", "student"):
        if model in sources:
            notes.append(
                f"For {sources[model]} clips nobody named end-diastole and end-systole: they are "
                f"the frames of largest and least area of the {model}'s mask, for all models."
            )
    notes += [f"Left out: {c['name']}: {c['reason']}." for c in metrics.get("left_out", [])]
    others = metrics.get("passed_over", {}).items()
    notes += [f"Passed over: {len(paths)} of kind {kind}." for kind, paths in others]
    empty = {key: total for key, total in metrics["total"].items() if total}
    for key, total in empty.items():
        pair = key.removeprefix("empty_frames/").replace("_vs_", " and ")
        notes.append(f"{total} frames in which the masks of {pair} are both empty count as Dice 1.")
    return notes


def _overall_figures(
    save: FigureFolder, metrics: Mapping[str, Any], models: list[str]
) -> list[html.Figure]:
    clips, name = [files.numbers_of(clip) for clip in metrics["per_clip"]], metrics["name"]
    against = metrics["ranked_by"].rpartition("_vs_")[2]
    scores = {
        model: summary.column(clips, f"dice/{model}_vs_{against}")
        for model in models
        if f"dice/{model}_vs_{against}" in metrics["mean"]
    }
    label = f"Dice against the {against}, mean over frames"
    figures = [save.figure(f"{name}_dice.png", label, plots.score_histogram, scores, label)]
    figures += _reliability(save, metrics, models)
    recorded = summary.column(clips, "ef/recorded")
    if not np.isnan(recorded).all():
        for kind, words in (("ef_area", "by areas"), ("ef_disks", "by disks")):
            estimates = {model: summary.column(clips, f"{kind}/{model}") for model in models}
            figures.append(
                save.figure(
                    f"{name}_{kind}.png",
                    f"Ejection fraction {words} against the recorded one",
                    plots.ejection_fractions,
                    recorded,
                    estimates,
                    label=f"recorded (estimates {words})",
                )
            )
    return figures + _agreement(save, metrics, clips)


def _agreement(
    save: FigureFolder, metrics: Mapping[str, Any], clips: Sequence[Mapping[str, float]]
) -> list[html.Figure]:
    """The student's measures against the reference's, of those that are compared."""
    figures = []
    for measure in AGREEMENT:
        pair = f"measures/{measure}/student_vs_reference"
        found = table.entry(metrics, "agreement", pair)
        if found is None:
            continue
        label, _, power = KINDS[measure]
        figures.append(
            save.figure(
                f"{metrics['name']}_agreement_{measure}.png",
                f"{label}: difference from the reference over the mean of both, with bias and 95 % "
                "limits of agreement",
                plots.bland_altman,
                summary.column(clips, f"measures/{measure}/student"),
                summary.column(clips, f"measures/{measure}/reference"),
                (found["value"], *found["interval"]),
                "pixels" if power else "%",
                title=label,
            )
        )
    return figures


def _reliability(
    save: FigureFolder, metrics: Mapping[str, Any], models: list[str]
) -> list[html.Figure]:
    """Against the reference where clips have one, else against the teacher."""
    found = metrics.get("reliability", {})  # Older evaluations have none.
    for against in ("reference", "teacher"):
        curves = {
            model: tuple(
                np.array(found[f"{model}_vs_{against}"][axis], np.float64)
                for axis in ("probability", "frequency")
            )
            for model in models
            if f"{model}_vs_{against}" in found
        }
        if curves:
            label = f"part of these pixels that is inside, by the {against}"
            name = f"{metrics['name']}_reliability.png"
            return [save.figure(name, "Calibration", plots.reliability, curves, label)]
    return []


def _clip(
    save: FigureFolder,
    file_stem: str,
    shown: ShownClip,
    numbers: Mapping[str, Any],
    metrics: Mapping[str, Any],
) -> html.ClipView:
    marks = {shown.ed_frame: ED_MARK, shown.es_frame: ES_MARK}
    pictures = overlays.clip_pictures(
        shown.frames,
        shown.drawn(),
        reference_frames=shown.references[LV].frames,
        reference_masks=shown.references[LV].masks,
        marks=marks,
    )
    poster = overlays.encode_png(pictures[shown.ed_frame])
    save.file(f"{file_stem}_ed.png", poster)
    curve = save.figure(
        f"{file_stem}_area.png",
        f"Area of the left ventricle over time in clip {shown.name}",
        plots.area_curves,
        _curves(shown),
        shown.ed_frame,
        shown.es_frame,
        fps=shown.fps,
    )
    return html.ClipView(
        name=shown.name,
        rank=shown.rank,
        facts=_clip_facts(numbers, metrics),
        animation=overlays.encode_mp4(pictures, shown.fps),
        poster=poster,
        curve=curve,
    )


def _curves(shown: ShownClip) -> dict[str, Any]:
    binary = {label: mask > MASK_THRESHOLD for label, mask in shown.drawn().items()}
    return area_curves(binary, shown.references[LV])


def _clip_facts(numbers: Mapping[str, Any], metrics: Mapping[str, Any]) -> list[tuple[str, str]]:
    chosen = [
        ("dice/student_vs_teacher", "Dice student-teacher", "{:.3f}"),
        ("dice/student_vs_reference", "student-reference", "{:.3f}"),
        ("dice/teacher_vs_reference", "teacher-reference", "{:.3f}"),
        ("dice/labeller_vs_teacher", "labeller-teacher", "{:.3f}"),
        ("ef/recorded", "EF recorded", "{:.0f} %"),
    ]
    chosen += [
        (f"ef_disks/{model}", f"EF by disks, {model}", "{:.0f} %") for model in metrics["models"]
    ]
    chosen += [
        (name_in(structure, f"dice/student_vs_{target}"), f"{structure}, {label}", "{:.3f}")
        for structure in metrics["structures"][1:]
        for target, label in (("teacher", "student-teacher"), ("reference", "student-reference"))
    ]
    return [
        (label, pattern.format(numbers[key]))
        for key, label, pattern in chosen
        if numbers.get(key) is not None
    ]
