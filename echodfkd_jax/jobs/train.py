"""Stage `train`: a network learns masks, or a generator of clips learns to make them.

Reads the prepared data set (or the generator); writes `config.json`, `parameters.txt` (the weights
by layer), `checkpoints/`, `metrics.jsonl` and TensorBoard events into `config.workdir`. Started
again, it continues.

Several processes may train together (`config.parallel.coordinator`): all compute, and the first one
reads and writes the working directory and speaks.
"""

import contextlib
import dataclasses
import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import ml_collections
from etils import epath

from echodfkd_jax import files
from echodfkd_jax.datasets import generators, prepared, recipe
from echodfkd_jax.errors import UserError
from echodfkd_jax.masks import LV_ALONE, Structures, check_structures, pick_structures
from echodfkd_jax.networks.diffusion.latent_video import build_generator
from echodfkd_jax.networks.registry import build_model, describe_model
from echodfkd_jax.networks.shipped import load_student
from echodfkd_jax.prediction.trusting import weigh
from echodfkd_jax.runs import run_config
from echodfkd_jax.runs.checkpoints import Checkpoints, all_steps
from echodfkd_jax.runs.progress import Progress
from echodfkd_jax.runs.writers import Writer
from echodfkd_jax.settings import (
    AugmentSettings,
    GeneratorSettings,
    InputSettings,
    ParallelSettings,
    TrainSettings,
    check_seed,
    is_generator,
)
from echodfkd_jax.teachers import load_teacher
from echodfkd_jax.teachers.base import structures_of
from echodfkd_jax.training import announcements
from echodfkd_jax.training.batches import Shard, TrainingData
from echodfkd_jax.training.clip_input import ClipInput
from echodfkd_jax.training.generator_learning import GeneratorLearning
from echodfkd_jax.training.input import DatasetInput, GeneratorInput, Input
from echodfkd_jax.training.interruption import StopNotice
from echodfkd_jax.training.mask_learning import MaskLearning
from echodfkd_jax.training.parallel import Parallel, join, on_all, on_first
from echodfkd_jax.training.step import training_frames
from echodfkd_jax.training.trainer import Learning, Trainer

# Held while a run is trained; left there.
_LOCK = ".training.lock"


def run(config: ml_collections.ConfigDict) -> None:
    """Trains `config.model`, from the start or from the last checkpoint.

    Raises:
        UserError: the configuration does not fit itself, the devices, the data, or the run that is
            already in `config.workdir`; another training is going on there; the loss is no longer
            finite; or the disk is full.
        PreemptedError: SIGTERM arrived, and the run is saved.
    """
    settings = TrainSettings.of(config.train)
    inputs = InputSettings.of(config.input)
    devices = ParallelSettings.of(config.parallel)
    check_seed(config.seed)
    AugmentSettings.of(config.augment)
    _check_model(config)
    known = recipe.REGISTERED.get(config.dataset.name)
    if known is not None and known.is_generated:  # Recorded clips are continued.
        inputs.check_windows(config.dataset.num_frames)

    join(devices)
    with contextlib.ExitStack() as held:
        on_first(lambda: _hold(files.path_of(config.workdir), held))
        _train(config, settings, inputs, devices)


def _check_model(config: ml_collections.ConfigDict) -> None:
    """Refuses a network that cannot be before anything is opened."""
    fields = run_config.network_fields(config)
    if is_generator(config.model.name):
        build_generator(**config.model)
        return
    if fields.get("dtype") == "auto":
        fields["dtype"] = "float32"  # Nobody may ask for the devices before the processes have met.
    build_model(**fields)


def _hold(workdir: epath.Path, held: contextlib.ExitStack) -> None:
    """Keeps other trainings out of the folder until `held` is closed, or the process ends."""
    files.make_folder(workdir)
    taken = f"config.workdir={workdir}: another training is writing there; wait for it, or end it"
    held.enter_context(files.locked(workdir / _LOCK, taken))


def _train(
    config: ml_collections.ConfigDict,
    settings: TrainSettings,
    inputs: InputSettings,
    devices: ParallelSettings,
) -> None:
    checkpoints = Checkpoints(config.workdir, keep_latest=settings.keep_checkpoints)
    saved, progress = _restore(config, checkpoints)
    reason = progress.finished(num_epochs=settings.num_epochs, patience=settings.patience)
    if reason is not None:
        announcements.done_before(config.workdir, progress, reason)
        return
    parallel = Parallel(devices, settings.batch_size, accumulate_steps=settings.accumulate_steps)
    shard = Shard(parallel.process_index, parallel.num_processes, settings.accumulate_steps)
    first = progress.step == 0
    data, learning = on_all(lambda: _open(config, inputs, settings, shard, first=first))
    trainer = Trainer(learning, data, parallel, settings, saved=saved)
    on_first(lambda: _begin(config, trainer, learning.scores, first=first))
    announcements.beginning(config, parallel, trainer, progress)
    with StopNotice() as notice:
        progress = trainer.fit(config.workdir, checkpoints, progress, told_to_stop=notice.arrived)
    announcements.end(config.workdir, progress, settings)


def _restore(
    config: ml_collections.ConfigDict, checkpoints: Checkpoints
) -> tuple[dict[str, Any], Progress]:
    """What the last checkpoint held, in the first process, and how far it is, in all of them."""
    saved: dict[str, Any] = {}

    def restore() -> dict[str, Any]:
        if all_steps(config.workdir):
            run_config.check_same(config, run_config.load(config.workdir))
        restored = checkpoints.restore_latest()
        if restored:
            saved.update(restored[0])
        return dataclasses.asdict(restored[1] if restored else Progress())

    return saved, Progress(**on_first(restore))


def _first_weights(
    config: ml_collections.ConfigDict, settings: TrainSettings
) -> Mapping[str, Any] | None:
    """Those of `config.train.init_from`, if it names any: of just such a network."""
    if not settings.init_from:
        return None
    found = load_student(settings.init_from)
    there = json.loads(describe_model(found.model))
    wanted = json.loads(describe_model(build_model(**run_config.network_fields(config))))
    for fields in (there, wanted):
        fields.setdefault("structures", list(LV_ALONE))
    # The network's name first: on it depends which fields there are.
    for field in sorted(there.keys() | wanted.keys(), key=lambda field: (field != "name", field)):
        if there.get(field) != wanted.get(field):
            section = "" if field == "structures" else "model."
            raise UserError(
                f"config.train.init_from={settings.init_from!r} was trained with "
                f"config.{section}{field}={there.get(field)!r}, not {wanted.get(field)!r}; "
                "set that too"
            )
    return found.variables


def _begin(
    config: ml_collections.ConfigDict, trainer: Trainer, scores: Sequence[str], *, first: bool
) -> None:
    """Writes what says what is trained; once also for TensorBoard, with the scores to come."""
    workdir = files.path_of(config.workdir)
    run_config.save(config)
    files.write_text(workdir / "parameters.txt", trainer.overview + "\n")
    if not first:
        return
    writer = Writer(workdir / "tensorboard" / "train")
    try:
        content = {
            "configuration": json.dumps(config.to_dict(), indent=2),
            "weights": trainer.overview,
        }
        writer.write_texts(0, {tag: f"```\n{text}\n```" for tag, text in content.items()})
        writer.write_settings(run_config.deciding(config), scores)
    finally:
        writer.close()


def _open(
    config: ml_collections.ConfigDict,
    settings: InputSettings,
    train: TrainSettings,
    shard: Shard,
    *,
    first: bool,
) -> tuple[TrainingData, Learning]:
    """What is learnt from, and what is learnt; `first`: not from a checkpoint."""
    augment = AugmentSettings.of(config.augment)
    if not is_generator(config.model.name):
        data = _open_input(config, settings, train, shard)
        learning = MaskLearning(
            run_config.network_fields(config),
            data,
            train,
            augment=augment,
            seed=config.seed,
            begin_with=_first_weights(config, train) if first else None,
        )
        return data, learning
    generator = GeneratorSettings.of(config.generator)
    learning = GeneratorLearning(
        build_generator(**config.model), generator, train, augment=augment, seed=config.seed
    )
    folder = prepared.directory(recipe.fields_of(config), config.teacher.to_dict())
    clips = ClipInput(
        prepared.open_split(folder, "train"),
        prepared.open_split(folder, "validation"),
        settings,
        fps=generator.fps,
        batch_size=train.batch_size,
        seed=config.seed,
        shard=shard,
    )
    return clips, learning


def _open_input(
    config: ml_collections.ConfigDict, settings: InputSettings, train: TrainSettings, shard: Shard
) -> Input:
    structures = check_structures(config.structures)
    if settings.source == "generator":
        teacher = _on_device(config, structures) if settings.target == "teacher" else None
        seen, outlined = training_frames(
            build_model(**run_config.network_fields(config)), settings.window_frames
        )
        make = generators.maker(
            generators.find_generator(config.dataset.generator),
            structures,
            num_frames=settings.window_frames,
            shown=seen,
            outlined=outlined,
            phases=settings.phase_windows,
        )
        return GeneratorInput(
            make,
            settings,
            seen=seen,
            outlined=outlined,
            batch_size=train.batch_size,
            num_train=config.dataset.num_train,
            num_validation=config.dataset.num_validation,
            seed=config.seed,
            structures=structures,
            teacher=teacher,
            shard=shard,
        )
    folder = prepared.directory(recipe.fields_of(config), config.teacher.to_dict())
    return DatasetInput(
        prepared.open_split(folder, "train"),
        prepared.open_split(folder, "validation"),
        settings,
        batch_size=train.batch_size,
        seed=config.seed,
        structures=structures,
        weigh=weigh(settings.min_expected_dice) if settings.min_expected_dice else None,
        shard=shard,
    )


def _on_device(
    config: ml_collections.ConfigDict, structures: Structures
) -> Callable[[jax.Array], jax.Array]:
    """The teacher as a function of frames, to be compiled with the step."""
    teacher = load_teacher(**config.teacher)
    known, whose = structures_of(teacher), f"teacher {teacher.fingerprint!r}"
    apply_fn = getattr(teacher, "apply_fn", None)
    if apply_fn is None:
        raise UserError(
            f"config.teacher.name={config.teacher.name!r} has no apply_fn for the device; "
            "prepare a data set with it (config.input.source='dataset')"
        )
    return lambda frames: pick_structures(apply_fn(frames), known, structures, whose)
