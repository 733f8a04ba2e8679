"""Stage `report`: draws what the other stages wrote, as one page.

Reads `config.json`, `metrics.jsonl` and every `evaluation/<name>/` of `config.workdir`; writes
`report/index.html`, which needs no other file and no network, and its figures as PNG.
"""

import hashlib
import json
from collections.abc import Callable, Mapping
from typing import Any

import ml_collections
import numpy as np
import tqdm
from etils import epath

from echodfkd_jax.disk import writing
from echodfkd_jax.evaluation import clip_metrics, files, summary, table
from echodfkd_jax.evaluation.files import ShownClip
from echodfkd_jax.files import make_folder, path_of, write_bytes, write_text
from echodfkd_jax.reporting import colours, html, overlays, plots
from echodfkd_jax.runs import run_config
from echodfkd_jax.runs.writers import read_lines

# Changes whenever the same input gives another page.
VERSION = 3
# Bars over the frames of end-diastole and end-systole.
ED_MARK = (255, 255, 255)
ES_MARK = (150, 150, 150)
_PROTOCOLS = {
    "paper": (
        "Protocol of EchoDFKD",
        "Masks cut at 80 of 255; mean over clips of the Dice at ED and ES; distances in frames.",
    ),
    "echonet": (
        "Protocol of EchoNet-Dynamic",
        "Masks cut at logit 0; Dice of the pixels of all clips together; 5th to 95th percentile.",
    ),
}


def run(config: ml_collections.ConfigDict) -> None:
    """Writes the report of `config.workdir` unless it is up to date; prints where it is.

    Raises:
        UserError: there is no run, or one of its files is damaged.
    """
    workdir = path_of(config.workdir)
    saved = run_config.load(workdir)
    target = workdir / "report" / "index.html"
    fingerprint = _fingerprint(workdir)
    if html.fingerprint_of(target) == fingerprint:
        print(f"report is up to date: {target}")
        return
    lines = read_lines(workdir / "metrics.jsonl")
    evaluations = {path.name: files.read_metrics(path) for path in files.all_folders(workdir)}
    save = _Saver(target.parent)
    page = html.RunView(
        title=f"echodfkd_jax: {workdir.name}",
        fingerprint=fingerprint,
        facts=_run_facts(workdir, saved, lines, evaluations),
        config=json.dumps(saved.to_dict(), indent=2),
        loss=save.figure("loss.png", "Loss and Dice over training steps", plots.loss_curves, lines)
        if lines
        else None,
        evaluations=[
            _evaluation(save, files.folder(workdir, name), metrics)
            for name, metrics in evaluations.items()
        ],
    )
    write_text(target, html.render(page))
    print(f"report: {target}")


class _Saver:
    """Draws figures in both styles and keeps the light one as a file."""

    def __init__(self, folder: epath.Path) -> None:
        self._folder = folder
        make_folder(folder)
        with writing(folder):
            for path in folder.glob("*.png"):  # Of clips that are no longer shown.
                path.unlink()

    def figure(
        self, name: str, alt: str, draw: Callable[..., bytes], *args: Any, **options: Any
    ) -> html.Figure:
        """Calls `draw(*args, style=..., **options)` for both styles."""
        light, dark = (draw(*args, **options, style=style) for style in plots.STYLES)
        self.file(name, light)
        return html.Figure(light, dark, alt)

    def file(self, name: str, content: bytes) -> None:
        """Writes one file of the report's folder."""
        write_bytes(self._folder / name, content)


def _fingerprint(workdir: epath.Path) -> str:
    """Hash of everything that the page is made from."""
    digest = hashlib.sha256(f"{VERSION} {workdir.name} ".encode())
    digest.update((html.TEMPLATES / html.PAGE).read_bytes())
    sources = [run_config.path(workdir), workdir / "metrics.jsonl"]
    sources += [path / files.METRICS_FILE for path in files.all_folders(workdir)]
    for path in sources:
        digest.update(f"{path.relative_to(workdir)} ".encode())
        digest.update(path.read_bytes() if path.is_file() else b"-")
    return digest.hexdigest()[:16]


def _run_facts(
    workdir: epath.Path,
    saved: ml_collections.ConfigDict,
    lines: list[dict[str, Any]],
    evaluations: Mapping[str, Mapping[str, Any]],
) -> list[tuple[str, str]]:
    model = dict(saved.model)
    name = model.pop("name")
    facts = [
        ("folder", str(workdir)),
        ("model", f"{name} ({', '.join(f'{key}={value}' for key, value in model.items())})"),
        ("seed", str(saved.seed)),
        ("training data", f"{saved.dataset.name}, {saved.dataset.get('num_train', '?')} clips"),
        ("teacher", str(saved.teacher.name)),
    ]
    if lines:
        time_s, epoch = lines[-1].get("time_s") or 0.0, lines[-1].get("epoch")
        trained = f"{lines[-1]['step']} steps, {epoch} epochs, {time_s / 60:.1f} minutes"
        facts.append(("training", trained))
    for metrics in list(evaluations.values())[:1]:
        facts.insert(2, ("weights", f"{metrics['num_weights']:,}"))
        where = metrics["environment"]
        machine = f"{where['device']}, JAX {where['jax']}, Python {where['python']}"
        facts.append(("evaluated on", machine))
        if metrics.get("commit"):
            facts.append(("commit", metrics["commit"]))
    return facts


def _evaluation(
    save: _Saver, directory: epath.Path, metrics: Mapping[str, Any]
) -> html.EvaluationView:
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
            [[row.heading, *row.cells, row.count] for row in table.rows(metrics)],
        ),
        protocols=[
            html.Table(title, note, ["", "value", "clips"], _protocol(metrics, key))
            for key, (title, note) in _PROTOCOLS.items()
        ]
        + _agreement(metrics),
        details=html.Table(
            "All metrics",
            "As in metrics.json, which also has them per clip.",
            ["metric", "mean or r [95 %]", "clips"],
            _all_metrics(metrics),
        ),
        figures=_overall_figures(save, metrics, models),
        legend=[(model, colours.as_hex(model)) for model in [*models, "reference"]],
        clips=[
            _clip(save, f"{name}_{number:03d}", clip, by_name.get(clip.name, {}), metrics)
            for number, clip in enumerate(clips)
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


def _protocol(metrics: Mapping[str, Any], key: str) -> list[list[str]]:
    return [
        [name, table.format_entry(entry, 3), str(entry["count"])]
        for name, entry in metrics["protocols"][key].items()
        if entry["value"] is not None
    ]


def _agreement(metrics: Mapping[str, Any]) -> list[html.Table]:
    """What the auxiliary judge says; nothing if there was none."""
    judge = metrics.get("judge")
    if not judge:
        return []
    rows = [
        row
        for row in _all_metrics(metrics)
        if judge in row[0].replace("/", "_").split("_") or row[0].startswith(("erasure", "rank/"))
    ]
    note = (
        "Phases in frames from the judge's; erasure scores rise when the mask covers the ventricle."
        " rank/: agreement of its verdicts with the tracings over clips."
    )
    return [html.Table(f"Agreement with {judge}", note, ["", "mean or r [95 %]", "clips"], rows)]


def _all_metrics(metrics: Mapping[str, Any]) -> list[list[str]]:
    rows = []
    for section, names in (("mean", metrics["mean"]), ("correlation", metrics["correlation"])):
        for name in names:
            entry = table.entry(metrics, section, name)
            if entry is not None:
                label = name if section == "mean" else f"{name} (r)"
                rows.append([label, table.format_entry(entry, 4), str(entry["count"])])
    return rows


def _overall_figures(
    save: _Saver, metrics: Mapping[str, Any], models: list[str]
) -> list[html.Figure]:
    clips, name = [_floats(clip) for clip in metrics["per_clip"]], metrics["name"]
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
    return figures


def _reliability(save: _Saver, metrics: Mapping[str, Any], models: list[str]) -> list[html.Figure]:
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
    save: _Saver,
    file_stem: str,
    shown: ShownClip,
    numbers: Mapping[str, Any],
    metrics: Mapping[str, Any],
) -> html.ClipView:
    marks = {shown.ed_frame: ED_MARK, shown.es_frame: ES_MARK}
    pictures = overlays.clip_pictures(
        shown.frames,
        shown.masks,
        reference_frames=shown.reference_frames,
        reference_masks=shown.reference_masks,
        marks=marks,
    )
    poster = overlays.encode_png(pictures[shown.ed_frame])
    save.file(f"{file_stem}_ed.png", poster)
    curve = save.figure(
        f"{file_stem}_area.png",
        f"Area of the left ventricle over time in clip {shown.name}",
        plots.area_curves,
        clip_metrics.area_curves(shown.masks, shown.reference_frames, shown.reference_masks),
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
    return [
        (label, pattern.format(numbers[key]))
        for key, label, pattern in chosen
        if numbers.get(key) is not None
    ]


def _floats(clip: Mapping[str, Any]) -> dict[str, float]:
    """The numbers of a clip of metrics.json; null is nan again."""
    return {
        key: float("nan") if value is None else float(value)
        for key, value in clip.items()
        if value is None or isinstance(value, int | float)
    }
