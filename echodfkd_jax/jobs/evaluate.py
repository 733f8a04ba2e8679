"""Stage `evaluate`: judges a student on clips that it never saw.

Reads the student of `config.student` and `config.json` of its run,
and a split of the run's data set or the folder `config.eval.clips_dir`; writes `evaluation/<name>/`
(`metrics.json`, `frames.csv`, `predictions/`) and TensorBoard events. The model and the data set
are those of the saved configuration; how they are evaluated is in `config.eval`. Students of
`config.student.weights` get `evaluation/<name>_<weights>/`, beside that of the run's own.
"""

import functools
import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import jax
import ml_collections
import numpy as np
import tqdm
from etils import epath

from echodfkd_jax import buckets
from echodfkd_jax.errors import UserError
from echodfkd_jax.evaluation import (
    calibration,
    clip_metrics,
    files,
    protocols,
    ranking,
    summary,
    table,
)
from echodfkd_jax.evaluation.data import open_data
from echodfkd_jax.evaluation.judging import Judging, open_judging
from echodfkd_jax.files import path_of
from echodfkd_jax.networks.inference import predict_clips
from echodfkd_jax.reporting.overlays import clip_strip
from echodfkd_jax.runs import checkpoints, provenance, run_config, watch
from echodfkd_jax.runs.progress import Progress
from echodfkd_jax.runs.student import choose_student, has_run
from echodfkd_jax.runs.writers import Writer
from echodfkd_jax.settings import EvalSettings, StudentSettings, TrainSettings
from echodfkd_jax.training.parallel import over_local_devices
from echodfkd_jax.types import Clip, Clips, SoftMask

# Changes whenever a number of metrics.json is computed otherwise, so that old files are not kept.
DEFINITIONS = 4
# What ranks the clips for the report, the first that the clips have.
RANKED_BY = ("dice/student_vs_teacher", "dice/student_vs_reference")
# Folder of the evaluations that a watching job makes, by step.
WATCHED = "checkpoints"

_Predict = Callable[[Sequence[Clip]], list[SoftMask]]


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
    judging = _open_judging(config)
    metrics = _evaluate(config, settings, StudentSettings.of(config.student), judging)
    directory = files.folder(config.workdir, metrics["name"])
    for line in table.lines(metrics):
        print(line)
    count, left_out = metrics["num_clips"], metrics["left_out"]
    print(f"  {count} clips, {len(left_out)} left out; intervals are 95 %, by bootstrap over clips")
    print(f"  metrics: {directory / files.METRICS_FILE}")
    return directory


def _evaluate(
    config: ml_collections.ConfigDict,
    settings: EvalSettings,
    which: StudentSettings,
    judging: Judging | None,
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
    inputs = {
        "definitions": DEFINITIONS,
        "student": student.fingerprint,
        "step": student.step,
        "data": data.identity,
        "bootstrap_samples": settings.bootstrap_samples,
        "seed": settings.seed,
        "shown_clips": config.report.num_clips,
        "judge": judging.identity if judging else None,
    }
    directory = files.folder(workdir, name) / subfolder
    done = files.read_metrics(directory)
    source = student.source if student.step is None else f"step {student.step}"
    if done.get("inputs") == inputs:
        print(f"already evaluated: {source} on {data.name}; nothing to do")
        return done
    print(f"evaluating {source} on {data.name} ({data.about['directory']})")
    opened = data.open()

    def predict(batch: Sequence[Clip]) -> list[SoftMask]:
        if len({clip.frames.shape for clip in batch}) == 1 and len(batch) == settings.batch_size:
            frames = np.stack([clip.frames for clip in batch])
            return list(predict_clips(student, frames, spread=over_local_devices))
        # Other sizes of batches would each be compiled; one by one is compiled once.
        return [predict_clips(student, clip.frames[None])[0] for clip in batch]

    scored = _Scored(opened.clips, predict, opened.masks_of, settings.batch_size, judging)
    metrics = {
        "name": name,
        "checkpoint_step": student.step,  # null of a student that is no run's
        "checkpoint": str(which.checkpoint) if student.step is not None else source,
        "data": data.about,
        **opened.about,
        "num_weights": sum(leaf.size for leaf in jax.tree.leaves(student.variables["params"])),
        "models": {"student": student.fingerprint} | data.models,
        "judge": judging.judge.name if judging else None,
        "ranked_by": scored.ranked_by,
        "commit": provenance.commit(),
        "environment": provenance.environment(),
        **scored.summarise(settings),
        "inputs": inputs,
    }
    files.write_frames(directory, scored.curves, [*metrics["models"], "reference"])
    files.write_shown(directory, scored.shown(config.report.num_clips))
    files.write_metrics(directory, metrics)  # Last: it is what says that the rest is complete.
    _write_events(workdir, directory, metrics)
    return files.read_metrics(directory)


class _Scored:
    """All clips of an evaluation, scored one after the other; no clip is kept in memory."""

    def __init__(
        self,
        clips: Clips,
        predict: _Predict,
        masks_of: Callable[[Clip], dict[str, SoftMask]],
        batch_size: int,
        judging: Judging | None,
    ) -> None:
        self._clips, self._predict, self._masks_of = clips, predict, masks_of
        self._judging = judging
        self.names: list[str] = []
        self.about: list[dict[str, Any]] = []
        self.numbers: list[dict[str, float]] = []
        self.protocol_numbers: list[dict[str, float]] = []
        self.curves: list[tuple[str, Mapping[str, Any]]] = []
        self.calibration_counts: dict[str, np.ndarray] = {}
        with tqdm.tqdm(total=len(clips), desc="evaluating", unit="clip") as bar:
            for batch in _batches(clips, batch_size):
                for clip, mask in zip(batch, predict(batch)):
                    self._score(clip, {"student": mask} | masks_of(clip))
                    bar.update()

    @functools.cached_property
    def ranked_by(self) -> str:
        """The metric by which clips are best or worst."""
        for metric in RANKED_BY:
            if not np.isnan(summary.column(self.numbers, metric)).all():
                return metric
        return RANKED_BY[0]

    def summarise(self, settings: EvalSettings) -> dict[str, Any]:
        """Numbers per clip and over all clips, as metrics.json has them."""
        bootstrap = {"num_samples": settings.bootstrap_samples, "seed": settings.seed}
        models = list(dict.fromkeys(model for _, areas in self.curves for model in areas))
        models.remove("reference")
        sources = [about["phase_frames"] for about in self.about]
        correlation = summary.correlate(
            self.numbers, summary.ejection_fraction_pairs([*models, "reference"]), **bootstrap
        )
        if self._judging:
            correlation |= self._judging.correlations(self.numbers, models, **bootstrap)
        return {
            "num_clips": len(self.names),
            "phase_frames": {source: sources.count(source) for source in sorted(set(sources))},
            **summary.summarise(self.numbers, **bootstrap),
            "correlation": correlation,
            "protocols": protocols.summarise(
                self.protocol_numbers, self.numbers, models, **bootstrap
            ),
            "reliability": {
                pair: calibration.reliability(counts)
                for pair, counts in self.calibration_counts.items()
            },
            "per_clip": [
                {"name": name, **about, **numbers}
                for name, about, numbers in zip(self.names, self.about, self.numbers)
            ],
        }

    def shown(self, count: int) -> Iterator[files.ShownClip]:
        """The best, median and worst clips; they are read and predicted once more."""
        scores = summary.column(self.numbers, self.ranked_by)
        for index, rank in ranking.best_median_worst(scores, count):
            clip = self._clips[index]
            masks = {"student": self._predict([clip])[0]} | self._masks_of(clip)
            yield files.ShownClip(
                name=clip.name,
                rank=rank,
                fps=clip.fps,
                ed_frame=self.about[index]["ed_frame"],
                es_frame=self.about[index]["es_frame"],
                frames=clip.frames,
                masks=masks,
                reference_frames=clip.reference_frames,
                reference_masks=clip.reference_masks,
            )

    def _score(self, clip: Clip, masks: dict[str, SoftMask]) -> None:
        frames = clip_metrics.find_phase_frames(clip, masks)
        self.names.append(clip.name)
        self.about.append(
            {
                "num_frames": len(clip.frames),
                "fps": clip.fps,
                "ed_frame": frames.ed,
                "es_frame": frames.es,
                "phase_frames": frames.source,
            }
        )
        numbers = clip_metrics.clip_metrics(clip, masks)
        if self._judging:
            numbers |= self._judging.numbers(clip, masks)
        self.numbers.append(numbers)
        self.protocol_numbers.append(protocols.clip_numbers(clip, masks, frames))
        for pair, counts in clip_metrics.calibration_counts(clip, masks).items():
            self.calibration_counts[pair] = self.calibration_counts.get(pair, 0) + counts
        areas = clip_metrics.area_curves(masks, clip.reference_frames, clip.reference_masks)
        self.curves.append((clip.name, areas))


def _open_judging(config: ml_collections.ConfigDict) -> Judging | None:
    return open_judging(config.judge.to_dict(), path_of(config.workdir))


def _batches(clips: Clips, size: int) -> Iterator[list[Clip]]:
    """Neighbours of equal shape, at most `size` of them."""
    batch: list[Clip] = []
    for index in range(len(clips)):
        clip = clips[index]
        if batch and (len(batch) == size or batch[0].frames.shape != clip.frames.shape):
            yield batch
            batch = []
        batch.append(clip)
    if batch:
        yield batch


def _write_events(workdir: epath.Path, directory: epath.Path, metrics: Mapping[str, Any]) -> None:
    """TensorBoard: means, correlations, protocols, strips of the clips that the report shows."""
    scalars = dict(metrics["mean"])
    scalars |= {f"correlation/{k}": v["value"] for k, v in metrics["correlation"].items()}
    for protocol, entries in metrics["protocols"].items():
        scalars |= {f"{protocol}/{name}": entry["value"] for name, entry in entries.items()}
    scalars = {tag: value for tag, value in scalars.items() if math.isfinite(value)}
    strips = {
        f"{clip.rank}/{number}": clip_strip(clip.frames, clip.masks)
        for number, clip in enumerate(files.read_shown(directory))
    }
    writer = Writer(workdir / "tensorboard" / f"evaluation_{metrics['name']}")
    try:
        step = metrics["checkpoint_step"] or 0
        writer.write_scalars(step, scalars)
        writer.write_images(step, strips)
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
    with watch.watching(workdir) as say_scored:
        _follow(config, settings, workdir, say_scored)


def _follow(
    config: ml_collections.ConfigDict,
    settings: EvalSettings,
    workdir: epath.Path,
    say_scored: Callable[[int], None],
) -> None:
    print(f"waiting for checkpoints in {checkpoints.directory(workdir)}; ends with the training")
    judging = _open_judging(config)  # Once: loading it and its sentences takes a while.
    scored: set[int] = set()
    name = ""
    while True:
        # Asked before looking for steps, so that the last checkpoint is not missed.
        ended = _has_ended(workdir)
        for step in (step for step in checkpoints.all_steps(workdir) if step not in scored):
            scored.add(step)
            try:
                metrics = _evaluate(
                    config, settings, StudentSettings(checkpoint=step), judging, f"{WATCHED}/{step}"
                )
            except UserError:
                if step in checkpoints.all_steps(workdir):
                    raise
                print(f"step {step} was deleted before it could be evaluated")
                continue
            say_scored(step)
            name = metrics["name"]
            value = metrics["mean"].get(metrics["ranked_by"])
            print(f"step {step}: {metrics['ranked_by']} {value}")
        if ended:
            break
        time.sleep(settings.poll_s)
    _, progress = checkpoints.restore_variables(workdir, config.student.checkpoint)
    directory = files.folder(workdir, name)
    with buckets.fetched(directory / WATCHED / str(progress["step"])) as source:
        buckets.send(source, directory, last=files.METRICS_FILE)
    print(f"training has ended; {len(scored)} checkpoints were evaluated")
    print(f"  metrics of step {progress['step']}: {directory / files.METRICS_FILE}")


def _has_ended(workdir: epath.Path) -> bool:
    if not checkpoints.all_steps(workdir) or not run_config.path(workdir).is_file():
        return False
    train = TrainSettings.of(run_config.load(workdir).train)
    try:
        _, progress = checkpoints.restore_variables(workdir, "latest")
    except UserError:  # Deleted between the two looks.
        return False
    reason = Progress(**progress).finished(num_epochs=train.num_epochs, patience=train.patience)
    return reason is not None
