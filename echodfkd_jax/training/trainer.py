"""A run's training: the network, what is learnt from, and the compiled steps."""

import contextlib
import functools
from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from clu import parameter_overview

from echodfkd_jax import files
from echodfkd_jax.masks import LV
from echodfkd_jax.networks.registry import build_model
from echodfkd_jax.reporting.overlays import clip_strip
from echodfkd_jax.runs import checkpoints as checkpoint_files
from echodfkd_jax.runs.checkpoints import Checkpoints
from echodfkd_jax.runs.progress import Progress
from echodfkd_jax.runs.writers import Writer
from echodfkd_jax.settings import AugmentSettings, TrainSettings
from echodfkd_jax.training import loop, state, step
from echodfkd_jax.training.augmentation import make_augment
from echodfkd_jax.training.input import Input
from echodfkd_jax.training.losses import find_loss
from echodfkd_jax.training.monitor import Monitor
from echodfkd_jax.training.parallel import Parallel, from_first, is_first

# Clips in TensorBoard's picture of validation frames.
_NUM_EXAMPLES = 4


class Trainer:
    """Owns the compiled steps of one run.

    Attributes:
        state: of the network and its optimiser, in host memory or on one device.
        steps_per_epoch: steps between two validations.
        num_steps: steps of the longest possible run.
    """

    def __init__(
        self,
        model: Mapping[str, Any],
        data: Input,
        parallel: Parallel,
        settings: TrainSettings,
        *,
        augment: AugmentSettings,
        seed: int,
        saved: Mapping[str, Any] | None = None,
        begin_with: Mapping[str, Any] | None = None,
    ) -> None:
        """Makes the state; nothing is compiled before it is needed.

        Args:
            model: section `config.model`: `name` and the network's fields.
            data: what is learnt from.
            parallel: the devices.
            settings: of `config.train`.
            augment: of `config.augment`.
            seed: of the first weights and of all that is drawn.
            saved: what a checkpoint held; None: from the start.
            begin_with: the network's variables at the start; None: random ones.

        Raises:
            UserError: the network or the loss is unknown or lacks a field.
            ValueError: `saved` belongs to another network.
        """
        self._data, self._parallel, self._settings = data, parallel, settings
        self.steps_per_epoch = settings.steps_per_epoch or data.steps_per_pass
        self.num_steps = settings.num_epochs * self.steps_per_epoch
        self._schedule = state.make_schedule(settings, self.num_steps)
        optimizer = state.make_optimizer(settings, self._schedule)
        shared_over = parallel.axis_name if settings.sync_batch_norm else None
        lone_model = build_model(**model)  # For what runs outside the devices' axis.
        if begin_with is None:
            made = state.create_state(lone_model, optimizer, seed)
        else:
            made = state.state_of(jax.tree.map(jnp.asarray, dict(begin_with)), optimizer)
        self.state = from_first(state.from_tree(made, dict(saved)) if saved else made)
        shared = {
            "model": build_model(**model, axis_name=shared_over),
            "expand": data.expand,
            "axis_name": parallel.axis_name,
            "loss": find_loss(settings.loss),
        }
        learn = functools.partial(
            step.train_step,
            optimizer=optimizer,
            accumulate_steps=settings.accumulate_steps,
            augment=make_augment(augment, seed),
            **shared,
        )
        self._train_step = parallel.compile(learn, donate=True)
        self._eval_step = parallel.compile(functools.partial(step.eval_step, **shared))
        self._predict_step = jax.jit(
            functools.partial(step.predict_step, model=lone_model, expand=data.expand)
        )

    @property
    def overview(self) -> str:
        """The network's weights, layer by layer."""
        return parameter_overview.get_parameter_overview(self.state.params)

    def fit(
        self,
        workdir: files.PathLike,
        checkpoints: Checkpoints,
        progress: Progress,
        *,
        told_to_stop: Callable[[int], bool],
    ) -> Progress:
        """Trains to the end; writes checkpoints, `metrics.jsonl` and TensorBoard events.

        Args:
            workdir: of the run.
            checkpoints: its checkpoints; closed in the end.
            progress: how far it is.
            told_to_stop: asked after every step whether to save and end there.

        Raises:
            UserError: a loss is not finite, or the disk is full.
            PreemptedError: told to stop, and saved.
        """
        workdir = files.path_of(workdir)
        with contextlib.ExitStack() as stack:
            stack.callback(checkpoints.close)
            writer = None
            if is_first():
                writer = Writer(
                    workdir / "tensorboard" / "train",
                    workdir / "metrics.jsonl",
                    resume_step=progress.step,
                )
                stack.callback(writer.close)

            def write_scalars(step: int, epoch: int, scalars: dict[str, float]) -> None:
                if writer is not None:
                    writer.write_scalars(step, scalars, epoch=epoch)

            def write_examples(state: Any, epoch: int, step: int) -> None:
                del epoch
                if writer is not None:
                    writer.write_images(step, {"validation/frames": self._examples(state)})

            monitor = Monitor(
                write=lambda step, scalars: write_scalars(
                    step, (step - 1) // self.steps_per_epoch + 1, scalars
                ),
                learning_rate=lambda step: float(np.asarray(self._schedule(step))),
                log_every_steps=self._settings.log_every_steps,
                batch_size=self._settings.batch_size,
                first_step=progress.step,
                num_steps=self.num_steps,
                last_saved=lambda: checkpoint_files.last_saved(workdir),
                sums=progress.sums,
                silent=not is_first(),
            )
            stack.callback(monitor.close)
            return loop.fit(
                self._parallel.replicate(self.state),
                progress,
                data=self._data,
                settings=self._settings,
                steps_per_epoch=self.steps_per_epoch,
                parallel=self._parallel,
                train_step=self._train_step,
                eval_step=self._eval_step,
                checkpoints=checkpoints,
                monitor=monitor,
                write_scalars=write_scalars,
                write_examples=write_examples,
                told_to_stop=told_to_stop,
            )

    def _examples(self, state: Any) -> np.ndarray:
        """Some validation clips with what was wanted and what was said, one below the other."""
        batch = next(iter(self._data.validation_batches()))
        shown = jax.device_get(self._predict_step(self._parallel.first(state).variables, batch))
        count = int(np.sum(batch["weight"]))  # The rest is padding.
        rows = [
            clip_strip(
                shown["video"][clip, ..., 0],
                {
                    self._data.target: shown["target"][clip, ..., 0],
                    "student": shown["predicted"][clip, ..., 0],
                    **{
                        structure: shown["predicted"][clip, ..., number]
                        for number, structure in enumerate(self._data.structures)
                        if structure != LV
                    },
                },
                num_frames=4,
            )
            for clip in range(min(count, _NUM_EXAMPLES))
        ]
        return np.concatenate(rows)
