"""Stage `evaluate`: judges a student on clips that it never saw.

Reads the student of `config.student` and `config.json` of its run,
and a split of the run's data set or the folder `config.eval.clips_dir`; writes `evaluation/<name>/`
(`metrics.json`, `frames.csv`, `predictions/`) and TensorBoard events. The model and the data set
are those of the saved configuration; how they are evaluated is in `config.eval`. Students of
`config.student.weights` get `evaluation/<name>_<weights>/`, beside that of the run's own.
"""

import dataclasses
import functools
from collections.abc import Mapping, Sequence
from typing import Any

import jax
import ml_collections
import numpy as np
from etils import epath

from echodfkd_jax import buckets
from echodfkd_jax.errors import UserError
from echodfkd_jax.evaluation import files, table
from echodfkd_jax.evaluation.data import open_data
from echodfkd_jax.evaluation.evaluator import Evaluator, open_evaluators
from echodfkd_jax.evaluation.judging import JUDGE, Judging, open_judging
from echodfkd_jax.evaluation.scoring import Scores, area_name
from echodfkd_jax.files import path_of, plain
from echodfkd_jax.networks.inference import predict_clips
from echodfkd_jax.networks.loaded import LoadedNetwork
from echodfkd_jax.networks.refinement import refine
from echodfkd_jax.reporting.overlays import clip_strip
from echodfkd_jax.runs import checkpoints, following, provenance, run_config, watch
from echodfkd_jax.runs.student import choose_student, has_run
from echodfkd_jax.runs.writers import Writer
from echodfkd_jax.settings import EvalSettings, StudentSettings
from echodfkd_jax.training.parallel import over_local_devices
from echodfkd_jax.types import Clip, NamedMasks

# Changes whenever a number of metrics.json is computed otherwise, so that old files are not kept.
DEFINITIONS = 4
# Folder of the evaluations that a watching job makes, by step.
WATCHED = "checkpoints"


def run(config: ml_collections.ConfigDict) -> epath.Path | None:
    """Evaluates one checkpoint, or with `config.eval.watch` each as it is saved.

    Returns:
        The evaluation's folder; None after watching.

    Raises:
        UserError: there is no run, checkpoint or data to evaluate, or a setting does not fit.
    """
    settings = EvalSettings.of(config.eval)
    if settings.watch:
        _watch(config, settings, StudentSettings.of(config.student))
        return None
    evaluators = _open_evaluators(config, settings)
    metrics = _evaluate(config, settings, StudentSettings.of(config.student), evaluators)
    directory = files.folder(config.workdir, metrics["name"])
    for line in table.text(metrics):
        print(line)
    count, left_out = metrics["num_clips"], metrics["left_out"]
    print(f"  {count} clips, {len(left_out)} left out; intervals are 95 %, by bootstrap over clips")
    print(f"  metrics: {directory / files.METRICS_FILE}")
    return directory


def _evaluate(
    config: ml_collections.ConfigDict,
    settings: EvalSettings,
    which: StudentSettings,
    evaluators: Mapping[str, Evaluator],
    subfolder: str = "",
) -> dict[str, Any]:
    """Evaluates one checkpoint unless that is done, and returns the content of metrics.json."""
    workdir = path_of(config.workdir)
    student = choose_student(workdir, which)
    if student.step is None and not which.weights:
        print(f"no run in {workdir}: the student that is shipped with the project is evaluated")
    saved = run_config.load(workdir) if has_run(workdir) else config
    data = open_data(settings, config, saved)
    name = f"{data.name}_{path_of(which.weights).stem}" if which.weights else data.name
    inputs = plain(
        {
            "definitions": DEFINITIONS,
            "student": student.fingerprint,
            "step": student.step,
            "refined": which.refine,
            "data": data.identity,
            "bootstrap_samples": settings.bootstrap_samples,
            "seed": settings.seed,
            "shown_clips": config.report.num_clips,
            "evaluators": {name: one.identity for name, one in evaluators.items()},
        }
    )
    directory = files.folder(workdir, name) / subfolder
    done = files.read_metrics(directory)
    source = student.source if student.step is None else f"step {student.step}"
    if done.get("inputs") == inputs:
        print(f"already evaluated: {source} on {data.name}; nothing to do")
        return done
    print(f"evaluating {source} on {data.name} ({data.metadata['directory']})")
    opened = data.open()
    predict = functools.partial(_predict, student, settings.batch_size, which.refine)
    scores = Scores(
        opened.clips, predict, opened.masks_of, evaluators, batch_size=settings.batch_size
    )
    judging = evaluators.get(JUDGE)
    metrics = {
        "name": name,
        "checkpoint_step": student.step,  # null of a student that is no run's
        "checkpoint": str(which.checkpoint) if student.step is not None else source,
        "data": data.metadata,
        **opened.metadata,
        "num_weights": sum(leaf.size for leaf in jax.tree.leaves(student.variables["params"])),
        "structures": list(scores.structures),
        "models": {"student": student.fingerprint} | data.models,
        "judge": judging.judge.name if isinstance(judging, Judging) else None,
        "ranked_by": scores.ranked_by,
        "commit": provenance.commit(),
        "environment": provenance.environment(),
        **scores.summarise(num_samples=settings.bootstrap_samples, seed=settings.seed),
        "tables": table.describe(evaluators.values()),
        "inputs": inputs,
    }
    areas = [area_name(s, m) for s in scores.structures for m in (*metrics["models"], "reference")]
    files.write_frames(directory, scores.curves, areas)
    files.write_shown(directory, scores.shown(config.report.num_clips))
    files.write_metrics(directory, metrics)  # Last: it is what says that the rest is complete.
    metrics = files.read_metrics(directory)
    _write_events(workdir, directory, metrics)
    return metrics


def _open_evaluators(
    config: ml_collections.ConfigDict, settings: EvalSettings
) -> dict[str, Evaluator]:
    """Those of `config.eval.evaluators` and, last, the judge of `config.judge` if there is one."""
    evaluators = open_evaluators(settings.evaluators)
    judging = open_judging(config.judge.to_dict(), path_of(config.workdir))
    return evaluators | ({JUDGE: judging} if judging else {})


def _predict(
    student: LoadedNetwork, batch_size: int, refined: bool, clips: Sequence[Clip]
) -> list[NamedMasks]:
    if len({clip.frames.shape for clip in clips}) == 1 and len(clips) == batch_size:
        frames = np.stack([clip.frames for clip in clips])
        found = list(predict_clips(student, frames, shard=over_local_devices))
    else:
        # Other sizes of batches would each be compiled; one by one is compiled once.
        found = [predict_clips(student, clip.frames[None])[0] for clip in clips]
    if refined:
        found = [refine(masks, clip.fps) for masks, clip in zip(found, clips)]
    return [NamedMasks(masks, student.structures) for masks in found]


def _write_events(workdir: epath.Path, directory: epath.Path, metrics: Mapping[str, Any]) -> None:
    """TensorBoard: every number over clips, the table, strips of the clips that the report shows.

    Its table of runs shows the student's rows beside the settings that decide its weights.
    """
    scalars = {
        table.tag(section, name): entry["value"] for section, name, entry in table.entries(metrics)
    }
    rows = table.rows(metrics)
    strips = {
        f"{clip.rank}/{number}": clip_strip(clip.frames, clip.drawn())
        for number, clip in enumerate(files.read_shown(directory))
    }
    writer = Writer(workdir / "tensorboard" / f"evaluation_{metrics['name']}")
    try:
        step = metrics["checkpoint_step"] or 0
        writer.write_scalars(step, scalars)
        writer.write_images(step, strips)
        writer.write_texts(step, {"numbers": table.markdown(metrics)})
        if has_run(workdir) and metrics["checkpoint_step"] is not None:
            settings = run_config.deciding(run_config.load(workdir))
            tags = [table.tag(row.section, row.metric.format("student")) for row in rows]
            writer.write_settings(settings, [tag for tag in tags if tag in scalars])
    finally:
        writer.close()


def _watch(
    config: ml_collections.ConfigDict, settings: EvalSettings, last: StudentSettings
) -> None:
    """Evaluates every checkpoint once, in order, until training has ended.

    Meanwhile training keeps those that are not scored yet, see `runs.watch`.
    Each evaluation is kept in `evaluation/<name>/checkpoints/<step>/`; in the end that of
    `config.student.checkpoint` becomes `evaluation/<name>/metrics.json`.
    """
    if last.weights:
        raise UserError(
            f"config.student.weights={last.weights!r}: expected none, as config.eval.watch scores "
            "the checkpoints of a run"
        )
    workdir = path_of(config.workdir)
    count, name = 0, ""
    with watch.watching(workdir) as say_scored:
        where = checkpoints.directory(workdir)
        print(f"waiting for checkpoints in {where}; ends with the training")
        # Once: loading a judge and its sentences takes a while.
        evaluators = _open_evaluators(config, settings)
        for step in following.saved_steps(workdir, settings.poll_s):
            count += 1
            which = dataclasses.replace(last, checkpoint=step)
            try:
                metrics = _evaluate(config, settings, which, evaluators, f"{WATCHED}/{step}")
            except UserError:
                if step in checkpoints.all_steps(workdir):
                    raise
                print(f"step {step} was deleted before it could be evaluated")
                continue
            say_scored(step)
            name = metrics["name"]
            value = metrics["mean"].get(metrics["ranked_by"])
            print(f"step {step}: {metrics['ranked_by']} {value}")
    _, progress = checkpoints.restore_variables(workdir, last.checkpoint)
    directory = files.folder(workdir, name)
    with buckets.fetched(directory / WATCHED / str(progress["step"])) as source:
        buckets.send(source, directory, last=files.METRICS_FILE)
    print(f"training has ended; {count} checkpoints were evaluated")
    print(f"  metrics of step {progress['step']}: {directory / files.METRICS_FILE}")
