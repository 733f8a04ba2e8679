"""The training loop: epochs of steps, validation, checkpoint, early stopping."""

from collections.abc import Callable
from typing import Any

from echodfkd_jax.distillation.checkpoints import Checkpoints, Progress
from echodfkd_jax.distillation.input import Input
from echodfkd_jax.distillation.monitor import Monitor
from echodfkd_jax.distillation.parallel import Parallel
from echodfkd_jax.distillation.settings import TrainSettings
from echodfkd_jax.distillation.state import TrainState, to_tree
from echodfkd_jax.errors import UserError

# `write_examples(state, epoch, step)` draws some validation frames.
WriteExamples = Callable[[TrainState, int, int], None]


def fit(
    state: TrainState,
    progress: Progress,
    *,
    data: Input,
    settings: TrainSettings,
    steps_per_epoch: int,
    parallel: Parallel,
    train_step: Callable[[Any, Any], Any],
    eval_step: Callable[[Any, Any], Any],
    checkpoints: Checkpoints,
    monitor: Monitor,
    write_scalars: Callable[[int, int, dict[str, float]], None],
    write_examples: WriteExamples,
) -> Progress:
    """Trains until the last epoch, or until validation has not improved for `patience` epochs.

    Args:
        state: at `progress.step`, replicated.
        progress: how far the run is.
        data: what is learnt from.
        settings: `num_epochs`, `patience` and `image_every_epochs` are used.
        steps_per_epoch: steps between two validations.
        parallel: where batches go.
        train_step: compiled, see `step.train_step`.
        eval_step: compiled, see `step.eval_step`.
        checkpoints: saved at the end of every epoch.
        monitor: follows the steps.
        write_scalars: `write_scalars(step, epoch, {tag: value})`.
        write_examples: called every `image_every_epochs` epochs.

    Returns:
        The progress at the end.

    Raises:
        UserError: a loss is not finite. The state that gave it is not saved.
    """
    batches = data.batches(progress.step)
    while finished(progress, settings) is None:
        epoch = progress.epoch + 1
        monitor.resume_clock()
        for step in range(progress.step + 1, epoch * steps_per_epoch + 1):
            state, metrics = train_step(state, parallel.shard(next(batches)))
            monitor.push(step, parallel.first(metrics))
        step = epoch * steps_per_epoch
        train_loss = monitor.flush()

        scores = validate(state, data, parallel, eval_step)
        if not scores["validation/loss"] < float("inf"):
            raise UserError(
                f"the validation loss is not finite after step {step}; train again in another "
                "config.workdir with a lower config.train.learning_rate"
            )
        write_scalars(step, epoch, scores)
        if settings.image_every_epochs and epoch % settings.image_every_epochs == 0:
            write_examples(state, epoch, step)

        progress = progress.after_epoch(step, scores["validation/loss"])
        checkpoints.save(to_tree(parallel.first(state)), progress)
        monitor.bar.write(
            f"epoch {epoch}/{settings.num_epochs}, step {step}: "
            f"train loss {train_loss:.4f}, "
            f"validation loss {scores['validation/loss']:.4f}, "
            f"Dice {scores['validation/dice']:.3f}"
            + (" (best)" if progress.best_step == step else "")
        )
    return progress


def finished(progress: Progress, settings: TrainSettings) -> str | None:
    """Why a run at `progress` is at its end, or None where it is not."""
    if settings.patience and progress.epochs_without_improvement >= settings.patience:
        return f"no better validation loss for {progress.epochs_without_improvement} epochs"
    if progress.epoch >= settings.num_epochs:
        return f"{progress.epoch} epochs"
    return None


def validate(
    state: TrainState, data: Input, parallel: Parallel, eval_step: Callable[[Any, Any], Any]
) -> dict[str, float]:
    """Mean loss and Dice over all validation windows, as `validation/...` tags."""
    total = {"loss_sum": 0.0, "dice_sum": 0.0, "count": 0.0}
    scores = [
        eval_step(state.variables, parallel.shard(batch)) for batch in data.validation_batches()
    ]
    for metrics in map(parallel.first, scores):
        total = {name: total[name] + float(metrics[name]) for name in total}
    return {
        "validation/loss": total["loss_sum"] / total["count"],
        "validation/dice": total["dice_sum"] / total["count"],
    }
