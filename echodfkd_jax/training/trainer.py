"""A run's training: what is learnt, what it is learnt from, and the compiled steps."""

import contextlib
from collections.abc import Callable, Mapping
from typing import Any, Protocol, runtime_checkable

import numpy as np
import optax
from clu import parameter_overview

from echodfkd_jax import files
from echodfkd_jax.runs import checkpoints as checkpoint_files
from echodfkd_jax.runs.checkpoints import Checkpoints
from echodfkd_jax.runs.progress import Progress
from echodfkd_jax.runs.writers import Writer
from echodfkd_jax.settings import TrainSettings
from echodfkd_jax.training import loop, state
from echodfkd_jax.training.batches import Batch, TrainingData
from echodfkd_jax.training.monitor import Monitor
from echodfkd_jax.training.parallel import Parallel, from_first, is_first


@runtime_checkable
class Learning(Protocol):
    """What a trainer learns: the first state, the steps, and something to look at.

    The steps are per-device functions, see `step.py`; `axis_name` is that of the devices.

    Attributes:
        scores: tags of what TensorBoard's table of runs shows beside the settings.
    """

    scores: tuple[str, ...]

    def create_state(self, optimizer: optax.GradientTransformation) -> state.TrainState:
        """The state before the first step."""
        ...

    def train_step(
        self, optimizer: optax.GradientTransformation, axis_name: str | None
    ) -> Callable[[Any, Any], Any]:
        """`step(state, batch)` gives the next state and `loss_sum`, `count`, `grad_norm`, ..."""
        ...

    def eval_step(self, axis_name: str | None) -> Callable[[Any, Any], Any]:
        """`step(variables, batch)` gives sums over the batch: `loss_sum`, others, and `count`."""
        ...

    def examples(self, variables: dict[str, Any], batch: Batch) -> dict[str, np.ndarray]:
        """Pictures by name, uint8 (h, w, 3), from some validation windows."""
        ...


class Trainer:
    """Owns the compiled steps of one run.

    Attributes:
        state: of the network and its optimiser, in host memory or on one device.
        steps_per_epoch: steps between two validations.
        num_steps: steps of the longest possible run.
    """

    def __init__(
        self,
        learning: Learning,
        data: TrainingData,
        parallel: Parallel,
        settings: TrainSettings,
        *,
        saved: Mapping[str, Any] | None = None,
    ) -> None:
        """Makes the state; nothing is compiled before it is needed.

        Args:
            learning: what is learnt.
            data: what is learnt from.
            parallel: the devices.
            settings: of `config.train`.
            saved: what a checkpoint held; None: from the start.

        Raises:
            ValueError: `saved` belongs to another network.
        """
        self._learning, self._data = learning, data
        self._parallel, self._settings = parallel, settings
        self.steps_per_epoch = settings.steps_per_epoch or data.steps_per_pass
        self.num_steps = settings.num_epochs * self.steps_per_epoch
        self._schedule = state.make_schedule(settings, self.num_steps)
        optimizer = state.make_optimizer(settings, self._schedule)
        made = learning.create_state(optimizer)
        self.state = from_first(state.from_tree(made, dict(saved)) if saved else made)
        axis_name = parallel.axis_name
        self._train_step = parallel.compile(learning.train_step(optimizer, axis_name), donate=True)
        self._eval_step = parallel.compile(learning.eval_step(axis_name))

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
                    batch = next(iter(self._data.validation_batches()))
                    variables = self._parallel.first(state).variables
                    writer.write_images(step, self._learning.examples(variables, batch))

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
