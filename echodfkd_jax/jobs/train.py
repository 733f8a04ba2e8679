"""Stage `train`: a network learns the masks of a data set, or of clips made as it goes.

Reads the prepared data set (or the generator); writes `config.json`, `parameters.txt` (the weights
by layer), `checkpoints/`, `metrics.jsonl` and TensorBoard events into `config.workdir`. Started
again, it continues.

Several processes may train together (`config.parallel.coordinator`): all compute, and the first one
reads and writes the working directory and speaks.
"""

import contextlib
import dataclasses
import functools
import pathlib
from typing import Any

import jax
import ml_collections
import numpy as np
from clu import parameter_overview

from echodfkd_jax import disk
from echodfkd_jax.networks.registry import build_model
from echodfkd_jax.reporting.overlays import clip_strip
from echodfkd_jax.runs import checkpoints as checkpoint_files
from echodfkd_jax.runs import run_config
from echodfkd_jax.runs.checkpoints import Checkpoints
from echodfkd_jax.runs.progress import Progress
from echodfkd_jax.runs.writers import Writer
from echodfkd_jax.training import loop
from echodfkd_jax.training.augmentation import Augment, make_augment
from echodfkd_jax.training.input import DatasetInput, GeneratorInput, Input, Share
from echodfkd_jax.training.interruption import StopNotice
from echodfkd_jax.training.monitor import Monitor
from echodfkd_jax.training.parallel import Parallel, from_first, is_first, join, on_all, on_first
from echodfkd_jax.training.settings import (
    AugmentSettings,
    InputSettings,
    ParallelSettings,
    TrainSettings,
    check_seed,
)
from echodfkd_jax.training.state import (
    TrainState,
    create_state,
    from_tree,
    make_optimizer,
    make_schedule,
    num_weights,
)
from echodfkd_jax.training.step import eval_step, predict_step, train_step

# Held while a run is trained; left there.
_LOCK = ".training.lock"
# Clips in TensorBoard's picture of validation frames.
_NUM_EXAMPLES = 4


def run(config: ml_collections.ConfigDict) -> None:
    """Trains `config.model`, from the start or from the last checkpoint.

    Raises:
        UserError: the configuration does not fit itself, the devices, the data, or the run that is
            already in `config.workdir`; another training is going on there; the loss is no longer
            finite; or the disk is full.
        PreemptedError: SIGTERM arrived, and the run is saved.
    """
    settings = TrainSettings(**config.train)
    input_settings = InputSettings(**config.input)
    parallel_settings = ParallelSettings(**config.parallel)
    seed = check_seed(config.seed)
    if "num_frames" in config.dataset:  # Of clips that are made; recorded ones are continued.
        input_settings.check_windows(config.dataset.num_frames)
    augment = make_augment(AugmentSettings(**config.get("augment", {})), seed)
    workdir = pathlib.Path(config.workdir)

    join(parallel_settings)
    with contextlib.ExitStack() as held:
        on_first(lambda: _hold(workdir, held))
        _train(config, settings, input_settings, parallel_settings, augment)


def _hold(workdir: pathlib.Path, held: contextlib.ExitStack) -> None:
    """Keeps other trainings out of the folder until `held` is closed, or the process ends."""
    taken = f"config.workdir={workdir}: another training is writing there; wait for it, or end it"
    held.enter_context(disk.locked(workdir / _LOCK, taken))


def _train(
    config: ml_collections.ConfigDict,
    settings: TrainSettings,
    input_settings: InputSettings,
    parallel_settings: ParallelSettings,
    augment: Augment | None,
) -> None:
    workdir = pathlib.Path(config.workdir)
    checkpoints = Checkpoints(workdir, keep_latest=settings.keep_checkpoints)
    saved_tree: dict[str, Any] = {}  # In the first process.

    def restore() -> dict[str, Any]:
        if checkpoint_files.all_steps(workdir):
            run_config.check_same(config, run_config.load(workdir))
        restored = checkpoints.restore_latest()
        if restored:
            saved_tree.update(restored[0])
        return dataclasses.asdict(restored[1] if restored else Progress())

    progress = Progress(**on_first(restore))
    reason = loop.finished(progress, settings)
    if reason is not None:
        _say(f"already trained: {reason}, {_best(progress)}; nothing to do ({workdir})")
        return

    parallel = Parallel(
        parallel_settings, settings.batch_size, accumulate_steps=settings.accumulate_steps
    )
    fields = dict(config.model)
    shared_over = parallel.axis_name if settings.sync_batch_norm else None
    model = build_model(**fields, axis_name=shared_over)
    lone_model = build_model(**fields)  # For what runs outside the devices' axis.
    share = Share(parallel.process_index, parallel.num_processes, settings.accumulate_steps)
    data = on_all(lambda: _open_input(config, input_settings, settings, share))
    steps_per_epoch = settings.steps_per_epoch or data.steps_per_pass
    num_steps = settings.num_epochs * steps_per_epoch
    schedule = make_schedule(settings, num_steps)
    optimizer = make_optimizer(settings, schedule)
    state = create_state(lone_model, optimizer, config.seed)
    if saved_tree:
        state = from_tree(state, saved_tree)
    state = from_first(state)
    on_first(lambda: _begin(config, state))
    _announce(config, parallel, state, progress, num_steps, steps_per_epoch)

    writer = _open_writer(workdir, progress.step) if is_first() else None

    def write_scalars(step: int, epoch: int, scalars: dict[str, float]) -> None:
        if writer:
            writer.write_scalars(step, scalars, epoch=epoch)

    monitor = Monitor(
        write=lambda step, scalars: write_scalars(step, (step - 1) // steps_per_epoch + 1, scalars),
        learning_rate=lambda step: float(schedule(step)),
        log_every_steps=settings.log_every_steps,
        batch_size=settings.batch_size,
        first_step=progress.step,
        num_steps=num_steps,
        last_saved=lambda: _last_saved(workdir),
        sums=progress.sums,
        silent=not is_first(),
    )
    step = functools.partial(
        train_step,
        model=model,
        optimizer=optimizer,
        expand=data.expand,
        axis_name=parallel.axis_name,
        accumulate_steps=settings.accumulate_steps,
        augment=augment,
        loss=settings.loss,
    )
    score = functools.partial(
        eval_step,
        model=model,
        expand=data.expand,
        axis_name=parallel.axis_name,
        loss=settings.loss,
    )
    predict = jax.jit(functools.partial(predict_step, model=lone_model, expand=data.expand))

    def write_examples(state: TrainState, epoch: int, step: int) -> None:
        del epoch
        if writer is None:
            return
        batch = next(iter(data.validation_batches()))
        shown = jax.device_get(predict(parallel.first(state).variables, batch))
        count = int(np.sum(batch["weight"]))  # The rest is padding.
        rows = [
            clip_strip(
                shown["video"][clip, ..., 0],
                {
                    input_settings.target: shown["target"][clip, ..., 0],
                    "student": shown["predicted"][clip, ..., 0],
                },
                num_frames=4,
            )
            for clip in range(min(count, _NUM_EXAMPLES))
        ]
        writer.write_images(step, {"validation/frames": np.concatenate(rows)})

    with contextlib.ExitStack() as stack:
        notice = stack.enter_context(StopNotice())
        stack.enter_context(checkpoint_files.disk_errors(workdir))
        stack.callback(checkpoints.close)
        if writer:
            stack.callback(writer.close)
        stack.callback(monitor.close)
        progress = loop.fit(
            parallel.replicate(state),
            progress,
            data=data,
            settings=settings,
            steps_per_epoch=steps_per_epoch,
            parallel=parallel,
            train_step=parallel.compile(step, donate=True),
            eval_step=parallel.compile(score),
            checkpoints=checkpoints,
            monitor=monitor,
            write_scalars=write_scalars,
            write_examples=write_examples,
            told_to_stop=notice.arrived,
        )
    _say(f"trained: {loop.finished(progress, settings)}, {_best(progress)}")
    _say(f"  checkpoints: {checkpoint_files.directory(workdir)}")
    _say(f"  curves: tensorboard --logdir {workdir / 'tensorboard'}")


def _say(text: str) -> None:
    if is_first():
        print(text)


def _begin(config: ml_collections.ConfigDict, state: TrainState) -> None:
    """Writes what says what is trained."""
    run_config.save(config)
    overview = parameter_overview.get_parameter_overview(state.params)
    disk.write_text(pathlib.Path(config.workdir) / "parameters.txt", overview + "\n")


def _open_writer(workdir: pathlib.Path, last_step: int) -> Writer:
    return Writer(
        workdir / "tensorboard" / "train", workdir / "metrics.jsonl", resume_step=last_step
    )


def _open_input(
    config: ml_collections.ConfigDict,
    settings: InputSettings,
    train: TrainSettings,
    share: Share,
) -> Input:
    if settings.source == "generator":
        from echodfkd_jax.synthesis import TRAINING_POOR_WINDOWS, make_clip

        teacher = None
        if settings.target == "teacher":
            from echodfkd_jax.teachers import load_teacher

            options = {"weights": config.teacher.weights} if config.teacher.weights else {}
            teacher = load_teacher(config.teacher.name, **options).apply_fn
        return GeneratorInput(
            make_clip,
            settings,
            batch_size=train.batch_size,
            num_train=config.dataset.num_train,
            num_validation=config.dataset.num_validation,
            seed=config.seed,
            poor_windows=TRAINING_POOR_WINDOWS,
            teacher=teacher,
            share=share,
        )
    from echodfkd_jax.datasets import prepared as dataset

    folder = dataset.directory(config.dataset.to_dict(), config.teacher.to_dict())
    return DatasetInput(
        dataset.open_split(folder, "train"),
        dataset.open_split(folder, "validation"),
        settings,
        batch_size=train.batch_size,
        seed=config.seed,
        share=share,
    )


def _announce(
    config: ml_collections.ConfigDict,
    parallel: Parallel,
    state: TrainState,
    progress: Progress,
    num_steps: int,
    steps_per_epoch: int,
) -> None:
    devices = parallel.devices
    hosts = f" of {parallel.num_processes} processes" if parallel.num_processes > 1 else ""
    parts = f", in {config.train.accumulate_steps} parts" * (config.train.accumulate_steps > 1)
    _say(
        f"training {config.model.name}, {num_weights(state):,} weights, on {len(devices)} "
        f"{devices[0].device_kind} device{'s' if len(devices) > 1 else ''}{hosts} "
        f"({config.parallel.mode}); batch {config.train.batch_size}, "
        f"{parallel.per_device_batch} per device{parts}"
    )
    _say(
        f"{config.train.num_epochs} epochs of {steps_per_epoch} steps at most, "
        f"into {config.workdir}"
    )
    if progress.step:
        _say(f"continuing after step {progress.step} of {num_steps} (epoch {progress.epoch})")


def _best(progress: Progress) -> str:
    return (
        f"{progress.step} steps, best validation loss {progress.best_validation_loss:.4f} "
        f"at step {progress.best_step}"
    )


def _last_saved(workdir: pathlib.Path) -> str:
    steps = checkpoint_files.all_steps(workdir)
    if not steps:
        return "no checkpoint was saved yet"
    folder = checkpoint_files.directory(workdir) / str(steps[-1])
    return f"the last good checkpoint is {folder}"
