"""Stage `train`: a network learns the masks of a data set, or of clips made as it goes.

Reads the prepared data set (or the generator); writes `config.json`, `parameters.txt` (the weights
by layer), `checkpoints/`, `metrics.jsonl` and TensorBoard events into `config.workdir`. Started
again, it continues.
"""

import functools
import pathlib

import jax
import ml_collections
import numpy as np
from clu import parameter_overview

from echodfkd_jax.distillation import checkpoints as checkpoint_files
from echodfkd_jax.distillation import loop, run_config
from echodfkd_jax.distillation.checkpoints import Checkpoints, Progress
from echodfkd_jax.distillation.input import DatasetInput, GeneratorInput, Input
from echodfkd_jax.distillation.models import build_model
from echodfkd_jax.distillation.monitor import Monitor
from echodfkd_jax.distillation.parallel import Parallel
from echodfkd_jax.distillation.settings import InputSettings, ParallelSettings, TrainSettings
from echodfkd_jax.distillation.state import (
    TrainState,
    create_state,
    from_tree,
    make_optimizer,
    make_schedule,
    num_weights,
)
from echodfkd_jax.distillation.step import eval_step, predict_step, train_step
from echodfkd_jax.reporting.overlays import clip_strip
from echodfkd_jax.reporting.writers import Writer

# Clips in TensorBoard's picture of validation frames.
_NUM_EXAMPLES = 4


def run(config: ml_collections.ConfigDict) -> None:
    """Trains `config.model`, from the start or from the last checkpoint.

    Raises:
        UserError: the configuration does not fit itself, the devices, the data, or the run that is
            already in `config.workdir`; or the loss is no longer finite.
    """
    settings = TrainSettings(**config.train)
    input_settings = InputSettings(**config.input)
    parallel_settings = ParallelSettings(**config.parallel)
    workdir = pathlib.Path(config.workdir)

    if checkpoint_files.all_steps(workdir):
        run_config.check_same(config, run_config.load(workdir))
    checkpoints = Checkpoints(workdir, keep_latest=settings.keep_checkpoints)
    restored = checkpoints.restore_latest()
    progress = restored[1] if restored else Progress()
    reason = loop.finished(progress, settings)
    if reason is not None:
        print(f"already trained: {reason}, {_best(progress)}; nothing to do ({workdir})")
        return

    parallel = Parallel(parallel_settings, settings.batch_size)
    fields = dict(config.model)
    model = build_model(**fields, axis_name=parallel.axis_name)
    lone_model = build_model(**fields)  # For what runs outside the devices' axis.
    data = _open_input(config, input_settings, settings)
    steps_per_epoch = settings.steps_per_epoch or data.steps_per_pass
    num_steps = settings.num_epochs * steps_per_epoch
    schedule = make_schedule(settings, num_steps)
    optimizer = make_optimizer(settings, schedule)
    state = create_state(lone_model, optimizer, config.seed)
    if restored:
        state = from_tree(state, restored[0])
    run_config.save(config)
    overview = parameter_overview.get_parameter_overview(state.params)
    (workdir / "parameters.txt").write_text(overview + "\n")
    _announce(config, parallel, state, progress, num_steps, steps_per_epoch)

    writer = Writer(
        workdir / "tensorboard" / "train",
        workdir / "metrics.jsonl",
        resume_step=progress.step,
    )
    monitor = Monitor(
        write=lambda step, scalars: writer.write_scalars(
            step, scalars, epoch=(step - 1) // steps_per_epoch + 1
        ),
        learning_rate=lambda step: float(schedule(step)),
        log_every_steps=settings.log_every_steps,
        batch_size=settings.batch_size,
        first_step=progress.step,
        num_steps=num_steps,
        last_saved=lambda: _last_saved(workdir),
    )
    step = functools.partial(
        train_step,
        model=model,
        optimizer=optimizer,
        expand=data.expand,
        axis_name=parallel.axis_name,
    )
    score = functools.partial(
        eval_step, model=model, expand=data.expand, axis_name=parallel.axis_name
    )
    predict = jax.jit(functools.partial(predict_step, model=lone_model, expand=data.expand))

    def write_examples(state: TrainState, epoch: int, step: int) -> None:
        del epoch
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

    try:
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
            write_scalars=lambda step, epoch, scalars: writer.write_scalars(
                step, scalars, epoch=epoch
            ),
            write_examples=write_examples,
        )
    finally:
        monitor.close()
        writer.close()
        checkpoints.close()
    print(f"trained: {loop.finished(progress, settings)}, {_best(progress)}")
    print(f"  checkpoints: {checkpoint_files.directory(workdir)}")
    print(f"  curves: tensorboard --logdir {workdir / 'tensorboard'}")


def _open_input(
    config: ml_collections.ConfigDict, settings: InputSettings, train: TrainSettings
) -> Input:
    if settings.source == "generator":
        from echodfkd_jax.synthesis import make_clip

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
            teacher=teacher,
        )
    from echodfkd_jax.clips import dataset

    folder = dataset.directory(config.dataset.to_dict(), config.teacher.to_dict())
    return DatasetInput(
        dataset.open_split(folder, "train"),
        dataset.open_split(folder, "validation"),
        settings,
        batch_size=train.batch_size,
        seed=config.seed,
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
    print(
        f"training {config.model.name}, {num_weights(state):,} weights, on {len(devices)} "
        f"{devices[0].device_kind} device{'s' if len(devices) > 1 else ''} "
        f"({config.parallel.mode}); batch {config.train.batch_size}, "
        f"{parallel.per_device_batch} per device"
    )
    print(
        f"{config.train.num_epochs} epochs of {steps_per_epoch} steps at most, "
        f"into {config.workdir}"
    )
    if progress.step:
        print(f"continuing after step {progress.step} of {num_steps} (epoch {progress.epoch})")


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
