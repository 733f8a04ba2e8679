"""Stage `report`: draws what the other stages wrote, as one page.

Reads `config.json`, `metrics.jsonl` and every `evaluation/<name>/` of `config.workdir`; writes
`report/index.html`, which needs no other file and no network, and its figures as PNG. With
`config.report.compare` it puts several students beside each other instead, see `comparison`.
"""

import hashlib
import json
from collections.abc import Mapping
from typing import Any

import ml_collections
from etils import epath

from echodfkd_jax.evaluation import files
from echodfkd_jax.files import path_of, write_text
from echodfkd_jax.jobs import comparison
from echodfkd_jax.reporting import html, plots
from echodfkd_jax.reporting.evaluations import evaluation_view
from echodfkd_jax.reporting.figures import FigureFolder
from echodfkd_jax.runs import run_config
from echodfkd_jax.runs.writers import read_lines
from echodfkd_jax.settings import ReportSettings

# Changes whenever the same input gives another page.
VERSION = 6


def run(config: ml_collections.ConfigDict) -> None:
    """Writes the report of `config.workdir` unless it is up to date; prints where it is.

    Raises:
        UserError: there is no run, or one of its files is damaged.
    """
    settings = ReportSettings.of(config.report)
    if settings.compare:
        comparison.run(config, settings)
        return
    workdir = path_of(config.workdir)
    saved = run_config.load(workdir)
    target = workdir / "report" / "index.html"
    fingerprint = _fingerprint(workdir)
    if html.fingerprint_of(target) == fingerprint:
        print(f"report is up to date: {target}")
        return
    lines = read_lines(workdir / "metrics.jsonl")
    evaluations = {path.name: files.read_metrics(path) for path in files.all_folders(workdir)}
    save = FigureFolder(target.parent)
    page = html.RunView(
        title=f"echodfkd_jax: {workdir.name}",
        fingerprint=fingerprint,
        facts=_run_facts(workdir, saved, lines, evaluations),
        config=json.dumps(saved.to_dict(), indent=2),
        loss=save.figure("loss.png", "Loss and Dice over training steps", plots.loss_curves, lines)
        if lines
        else None,
        evaluations=[
            evaluation_view(save, files.folder(workdir, name), metrics)
            for name, metrics in evaluations.items()
        ],
    )
    write_text(target, html.render(page))
    print(f"report: {target}")


def _fingerprint(workdir: epath.Path) -> str:
    """Hash of everything that the page is made from."""
    digest = hashlib.sha256(f"{VERSION} {workdir.name} ".encode())
    digest.update(html.templates_digest())
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
