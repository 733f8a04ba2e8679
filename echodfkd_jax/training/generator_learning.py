"""How a generator of clips is learnt: its steps, and what is shown of its auto-encoder."""

import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

from echodfkd_jax.networks.diffusion.latent_video import LatentVideo
from echodfkd_jax.settings import AugmentSettings, GeneratorSettings, TrainSettings
from echodfkd_jax.synthesis.diffusion import frames
from echodfkd_jax.training import generator_step
from echodfkd_jax.training.batches import Batch
from echodfkd_jax.training.state import TrainState

# Clips in TensorBoard's picture of what the auto-encoder makes of them.
_NUM_EXAMPLES = 4


class GeneratorLearning:
    """A latent video model; see `trainer.Learning`."""

    scores: tuple[str, ...] = (
        "validation/loss",
        "validation/reconstruction",
        "validation/denoising",
    )

    def __init__(
        self,
        model: LatentVideo,
        settings: GeneratorSettings,
        train: TrainSettings,
        *,
        augment: AugmentSettings,
        seed: int,
    ) -> None:
        """Makes no weights yet.

        Args:
            model: the two networks.
            settings: of `config.generator`.
            train: of `config.train`; a generator has a loss of its own and takes a batch at once.
            augment: of `config.augment`; nothing may be changed.
            seed: of the first weights and of all that is drawn.

        Raises:
            UserError: micro-batches, first weights or an augmentation are asked for.
        """
        train.require(
            train.accumulate_steps == 1,
            "accumulate_steps",
            train.accumulate_steps,
            "1: a generator",
        )
        train.require(
            not train.init_from, "init_from", train.init_from, "nothing: a generator begins anew"
        )
        if augment != AugmentSettings():
            augment.require(False, "gain", augment.gain, "no augmentation at all for a generator")
        self._model, self._seed = model, seed
        self._recipe = generator_step.Recipe(settings.drop, seed)
        self._decoded = jax.jit(self._through_latents)

    def create_state(self, optimizer: optax.GradientTransformation) -> TrainState:
        """See `trainer.Learning`."""
        return generator_step.create_state(self._model, optimizer, self._seed)

    def train_step(
        self, optimizer: optax.GradientTransformation, axis_name: str | None
    ) -> Callable[[Any, Any], Any]:
        """See `trainer.Learning`."""
        return functools.partial(
            generator_step.train_step,
            model=self._model,
            optimizer=optimizer,
            recipe=self._recipe,
            axis_name=axis_name,
        )

    def eval_step(self, axis_name: str | None) -> Callable[[Any, Any], Any]:
        """See `trainer.Learning`."""
        return functools.partial(
            generator_step.eval_step, model=self._model, recipe=self._recipe, axis_name=axis_name
        )

    def examples(self, variables: dict[str, Any], batch: Batch) -> dict[str, np.ndarray]:
        """Frames of some clips, and below them what the auto-encoder makes of them."""
        stills = batch["still"][: min(int(np.sum(batch["weight"])), _NUM_EXAMPLES)]
        decoded = np.asarray(self._decoded(variables, stills))
        rows = [np.concatenate(list(each[..., 0]), axis=1) for each in (stills, decoded)]
        grey = np.concatenate(rows)
        return {"validation/frames": np.repeat(grey[..., None], 3, axis=-1)}

    def _through_latents(self, variables: dict[str, Any], stills: jax.Array) -> jax.Array:
        params = {"params": variables["batch_stats"]["averaged"]}
        signal = frames.to_signal(jnp.asarray(stills))
        posterior: Any = self._model.apply(params, signal, method="encode")
        decoded: Any = self._model.apply(params, posterior.mean, method="decode")
        return frames.to_grey(decoded)
