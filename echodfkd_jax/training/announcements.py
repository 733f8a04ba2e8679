"""What a training run says at its beginning and at its end, once for all processes."""

import ml_collections

from echodfkd_jax import files
from echodfkd_jax.runs import checkpoints
from echodfkd_jax.runs.progress import Progress
from echodfkd_jax.settings import TrainSettings
from echodfkd_jax.training.parallel import Parallel, is_first
from echodfkd_jax.training.state import num_weights
from echodfkd_jax.training.trainer import Trainer


def beginning(
    config: ml_collections.ConfigDict, parallel: Parallel, trainer: Trainer, progress: Progress
) -> None:
    """Which network, on what, how long at most, and from where on."""
    devices = parallel.devices
    hosts = f" of {parallel.num_processes} processes" if parallel.num_processes > 1 else ""
    count = config.train.accumulate_steps
    micro_batches = f", in {count} micro-batches" * (count > 1)
    _say(
        f"training {config.model.name}, {num_weights(trainer.state):,} weights, on {len(devices)} "
        f"{devices[0].device_kind} device{'s' if len(devices) > 1 else ''}{hosts} "
        f"({config.parallel.mode}); batch {config.train.batch_size}, "
        f"{parallel.per_device_batch} per device{micro_batches}"
    )
    _say(
        f"{config.train.num_epochs} epochs of {trainer.steps_per_epoch} steps at most, "
        f"into {config.workdir}"
    )
    if progress.step:
        _say(
            f"continuing after step {progress.step} of {trainer.num_steps} (epoch {progress.epoch})"
        )


def done_before(workdir: str, progress: Progress, reason: str) -> None:
    """That there is nothing to do."""
    _say(f"already trained: {reason}, {_best(progress)}; nothing to do ({workdir})")


def end(workdir: str, progress: Progress, settings: TrainSettings) -> None:
    """Why training ended, and where to look."""
    reason = progress.finished(num_epochs=settings.num_epochs, patience=settings.patience)
    _say(f"trained: {reason}, {_best(progress)}")
    _say(f"  checkpoints: {checkpoints.directory(workdir)}")
    _say(f"  curves: tensorboard --logdir {files.path_of(workdir) / 'tensorboard'}")


def _best(progress: Progress) -> str:
    return (
        f"{progress.step} steps, best validation loss {progress.best_validation_loss:.4f} "
        f"at step {progress.best_step}"
    )


def _say(text: str) -> None:
    if is_first():
        print(text)
