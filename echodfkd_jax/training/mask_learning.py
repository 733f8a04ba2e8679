"""How a network learns masks: its steps, and what is shown of its validation clips."""

import functools
from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

from echodfkd_jax.masks import LV
from echodfkd_jax.networks.registry import build_model
from echodfkd_jax.reporting.overlays import clip_strip
from echodfkd_jax.settings import AugmentSettings, TrainSettings
from echodfkd_jax.training import state, step
from echodfkd_jax.training.augmentation import make_augment
from echodfkd_jax.training.batches import Batch
from echodfkd_jax.training.input import Input
from echodfkd_jax.training.losses import find_loss, weigh_structures

# Clips in TensorBoard's picture of validation frames.
_NUM_EXAMPLES = 4


class MaskLearning:
    """A network that outlines structures; see `trainer.Learning`."""

    scores: tuple[str, ...] = ("validation/loss", "validation/dice")

    def __init__(
        self,
        model: Mapping[str, Any],
        data: Input,
        settings: TrainSettings,
        *,
        augment: AugmentSettings,
        seed: int,
        begin_with: Mapping[str, Any] | None = None,
    ) -> None:
        """Builds the network; its weights are not made yet.

        Args:
            model: section `config.model`: `name` and the network's fields.
            data: what is learnt from.
            settings: of `config.train`.
            augment: of `config.augment`.
            seed: of the first weights and of all that is drawn.
            begin_with: the network's variables at the start; None: random ones.

        Raises:
            UserError: the network or the loss is unknown or lacks a field.
        """
        self._fields, self._data, self._settings, self._seed = dict(model), data, settings, seed
        self._begin_with = begin_with
        self._augment = make_augment(augment, seed)
        self._loss = weigh_structures(find_loss(settings.loss), settings.other_structures)
        self._lone_model = build_model(**model)  # For what runs outside the devices' axis.
        self._predict_step = jax.jit(
            functools.partial(step.predict_step, model=self._lone_model, expand=data.expand)
        )

    def create_state(self, optimizer: optax.GradientTransformation) -> state.TrainState:
        """See `trainer.Learning`."""
        if self._begin_with is None:
            return state.create_state(self._lone_model, optimizer, self._seed)
        return state.state_of(jax.tree.map(jnp.asarray, dict(self._begin_with)), optimizer)

    def train_step(
        self, optimizer: optax.GradientTransformation, axis_name: str | None
    ) -> Callable[[Any, Any], Any]:
        """See `trainer.Learning`."""
        return functools.partial(
            step.train_step,
            optimizer=optimizer,
            accumulate_steps=self._settings.accumulate_steps,
            augment=self._augment,
            **self._shared(axis_name),
        )

    def eval_step(self, axis_name: str | None) -> Callable[[Any, Any], Any]:
        """See `trainer.Learning`."""
        return functools.partial(step.eval_step, **self._shared(axis_name))

    def examples(self, variables: dict[str, Any], batch: Batch) -> dict[str, np.ndarray]:
        """Some clips with what was wanted and what was said, one below the other."""
        shown = jax.device_get(self._predict_step(variables, batch))
        count = int(np.sum(batch["weight"]))  # The rest is padding.
        counts = shown.get("frame_weights", np.ones(shown["video"].shape[:2])) > 0
        rows = [
            clip_strip(
                shown["video"][clip, counts[clip], ..., 0],
                {
                    self._data.target: shown["target"][clip, counts[clip], ..., 0],
                    "student": shown["predicted"][clip, counts[clip], ..., 0],
                    **{
                        structure: shown["predicted"][clip, counts[clip], ..., number]
                        for number, structure in enumerate(self._data.structures)
                        if structure != LV
                    },
                },
                num_frames=4,
            )
            for clip in range(min(count, _NUM_EXAMPLES))
        ]
        return {"validation/frames": np.concatenate(rows)}

    def _shared(self, axis_name: str | None) -> dict[str, Any]:
        shared_over = axis_name if self._settings.sync_batch_norm else None
        return {
            "model": build_model(**self._fields, axis_name=shared_over),
            "expand": self._data.expand,
            "axis_name": axis_name,
            "loss": self._loss,
        }
