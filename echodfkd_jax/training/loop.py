"""The training loop: epochs of steps, validation, checkpoint, early stopping."""

from collections.abc import Callable
from typing import Any

from echodfkd_jax.errors import PreemptedError, UserError
from echodfkd_jax.runs.checkpoints import Checkpoints
from echodfkd_jax.runs.progress import Progress
from echodfkd_jax.settings import TrainSettings
from echodfkd_jax.training.batches import TrainingData
from echodfkd_jax.training.monitor import Monitor
from echodfkd_jax.training.parallel import Parallel, on_first
from echodfkd_jax.training.state import TrainState, to_tree

# `write_examples(state, epoch, step)` draws some validation frames.
WriteExamples = Callable[[TrainState, int, int], None]


def fit(
    state: TrainState,
    progress: Progress,
    *,
    data: TrainingData,
    settings: TrainSettings,
    steps_per_epoch: int,
    parallel: Parallel,
    train_step: Callable[[Any, Any], Any],
    eval_step: Callable[[Any, Any], Any],
    checkpoints: Checkpoints,
    monitor: Monitor,
    write_scalars: Callable[[int, int, dict[str, float]], None],
    write_examples: WriteExamples,
    told_to_stop: Callable[[int], bool],
) -> Progress:
    """Trains until the last epoch, or until validation has not improved for `patience` epochs.

    Args:
        state: at `progress.step`, replicated.
        progress: how far the run is.
        data: what is learnt from.
        settings: `num_epochs`, `patience`, `checkpoint_every_steps` and `image_every_epochs` are
            used.
        steps_per_epoch: steps between two validations.
        parallel: where batches go.
        train_step: compiled, see `step.train_step`.
        eval_step: compiled, see `step.eval_step`.
        checkpoints: saved at the end of every epoch, and within one where it is asked for.
        monitor: follows the steps.
        write_scalars: `write_scalars(step, epoch, {tag: value})`.
        write_examples: called every `image_every_epochs` epochs.
        told_to_stop: asked after every step whether to save and end there. After an epoch's last
            step the validation is finished first.

    Returns:
        The progress at the end.

    Raises:
        UserError: a loss is not finite (the state that gave it is not saved), or the disk is full.
        PreemptedError: told to stop, and saved.
    """
    batches = data.batches(progress.step)
    while _reason(progress, settings) is None:
        epoch = progress.epoch + 1
        last_step = epoch * steps_per_epoch
        stopping = False
        monitor.resume_clock()
        for step in range(progress.step + 1, last_step + 1):
            state, metrics = train_step(state, parallel.shard(next(batches)))
            monitor.push(step, parallel.first(metrics))
            stopping = told_to_stop(step)
            if step < last_step and (stopping or _is_due(step, settings.checkpoint_every_steps)):
                progress = progress.within_epoch(step, monitor.settle())
                _save(checkpoints, state, progress, parallel)
            if step < last_step and stopping:
                raise _preempted(step)
        train_loss = monitor.flush()

        scores = validate(state, data, parallel, eval_step)
        if not scores["validation/loss"] < float("inf"):
            raise UserError(
                f"the validation loss is not finite after step {last_step}; train again in another "
                "config.workdir with a lower config.train.learning_rate"
            )
        write_scalars(last_step, epoch, scores)
        if settings.image_every_epochs and epoch % settings.image_every_epochs == 0:
            write_examples(state, epoch, last_step)

        progress = progress.after_epoch(last_step, scores["validation/loss"])
        _save(checkpoints, state, progress, parallel)
        monitor.say(_line(progress, settings, train_loss, scores))
        if stopping and _reason(progress, settings) is None:
            raise _preempted(last_step)
    return progress


def validate(
    state: TrainState,
    data: TrainingData,
    parallel: Parallel,
    eval_step: Callable[[Any, Any], Any],
) -> dict[str, float]:
    """Means over all validation windows of what the step sums, as `validation/...` tags."""
    total: dict[str, float] = {}
    scores = [
        eval_step(state.variables, parallel.shard(batch)) for batch in data.validation_batches()
    ]
    for metrics in map(parallel.first, scores):
        total = {name: total.get(name, 0.0) + float(value) for name, value in metrics.items()}
    count = total.pop("count")
    return {
        f"validation/{name.removesuffix('_sum')}": value / count for name, value in total.items()
    }


def _line(
    progress: Progress, settings: TrainSettings, train_loss: float, scores: dict[str, float]
) -> str:
    """An epoch in one line."""
    others = (
        f", {tag.removeprefix('validation/').capitalize()} {score:.3f}"
        for tag, score in sorted(scores.items())
        if tag != "validation/loss"
    )
    return (
        f"epoch {progress.epoch}/{settings.num_epochs}, step {progress.step}: "
        f"train loss {train_loss:.4f}, "
        f"validation loss {scores['validation/loss']:.4f}"
        + "".join(others)
        + (" (best)" if progress.best_step == progress.step else "")
    )


def _reason(progress: Progress, settings: TrainSettings) -> str | None:
    return progress.finished(num_epochs=settings.num_epochs, patience=settings.patience)


def _is_due(step: int, every: int) -> bool:
    return every > 0 and step % every == 0


def _save(
    checkpoints: Checkpoints, state: TrainState, progress: Progress, parallel: Parallel
) -> None:
    on_first(lambda: checkpoints.save(to_tree(parallel.first(state)), progress))


def _preempted(step: int) -> PreemptedError:
    return PreemptedError(f"told to stop: saved after step {step}; the same command continues")
