"""What training changes from step to step, and the optimiser that changes it."""

from collections.abc import Mapping
from typing import Any, cast

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import linen as nn
from flax import serialization, struct, traverse_util

from echodfkd_jax.settings import TrainSettings


@struct.dataclass
class TrainState:
    """Everything a step reads and writes.

    Attributes:
        step: int32 (), steps taken.
        params: trained weights.
        batch_stats: BatchNorm's running statistics.
        opt_state: the optimiser's.
    """

    # No shape types: under pmap each leaf has one more axis, in checkpoints it is another type.
    step: Any
    params: Any
    batch_stats: Any
    opt_state: Any

    @property
    def variables(self) -> dict[str, Any]:
        """What `model.apply` takes."""
        return {"params": self.params, "batch_stats": self.batch_stats}


def make_schedule(settings: TrainSettings, num_steps: int) -> optax.Schedule:
    """Learning rate as a function of the step.

    Args:
        settings: `learning_rate`, `schedule` and `warmup_steps` are used.
        num_steps: steps of the longest possible run; where "cosine" reaches 0.
    """
    rate, warmup = settings.learning_rate, settings.warmup_steps
    if settings.schedule == "cosine":
        after = optax.cosine_decay_schedule(rate, max(num_steps - warmup, 1))
    else:
        after = optax.constant_schedule(rate)
    if not warmup:
        return after
    return optax.join_schedules([optax.linear_schedule(0.0, rate, warmup), after], [warmup])


def make_optimizer(
    settings: TrainSettings, schedule: optax.Schedule
) -> optax.GradientTransformation:
    """Adam as published (optax's defaults are PyTorch's), after clipping where it is asked for."""
    clip = [optax.clip_by_global_norm(settings.clip_norm)] if settings.clip_norm > 0 else []
    return optax.chain(*clip, optax.adam(schedule))


def create_state(
    model: nn.Module,
    optimizer: optax.GradientTransformation,
    seed: int,
    *,
    frame_shape: tuple[int, int] = (112, 112),
) -> TrainState:
    """The state before the first step; the same for the same seed.

    Args:
        model: takes video float32 (b, t, h, w, 1).
        optimizer: gives the optimiser's first state.
        seed: of the initial weights.
        frame_shape: height and width; the weights do not depend on it.
    """

    def create(key: jax.Array) -> TrainState:
        # Two frames: a recurrent network's weights do not depend on the length either.
        variables = model.init(key, jnp.zeros((1, 2, *frame_shape, 1), jnp.float32))
        return state_of(variables, optimizer)

    return jax.jit(create)(jax.random.key(seed))


def state_of(variables: Mapping[str, Any], optimizer: optax.GradientTransformation) -> TrainState:
    """The state before the first step of a network that has weights already."""
    params = variables["params"]
    return TrainState(
        step=jnp.zeros((), jnp.int32),
        params=params,
        batch_stats=variables.get("batch_stats", {}),
        opt_state=optimizer.init(params),
    )


def num_weights(state: TrainState) -> int:
    """Trained numbers in the network."""
    return sum(leaf.size for leaf in jax.tree.leaves(state.params))


def to_tree(state: TrainState) -> dict[str, Any]:
    """The state as nested dicts of numpy arrays, copied: what a checkpoint holds.

    Copied because the step gives its input's memory to its output.
    """
    tree = serialization.to_state_dict(state)
    return jax.tree.map(lambda leaf: np.array(jax.device_get(leaf)), tree)


def from_tree(template: TrainState, tree: dict[str, Any]) -> TrainState:
    """The inverse of `to_tree`.

    Args:
        template: a state of the same model and optimiser.
        tree: what a checkpoint held.

    Raises:
        ValueError: `tree` belongs to another model or optimiser; the message names the difference.
    """
    wanted: dict[str, Any] = traverse_util.flatten_dict(
        serialization.to_state_dict(template), keep_empty_nodes=True, sep="/"
    )
    found: dict[str, Any] = traverse_util.flatten_dict(tree, sep="/")
    for name, leaf in wanted.items():
        if leaf is traverse_util.empty_node:
            continue
        shape = found[name].shape if name in found else "missing"
        if shape != leaf.shape:
            raise ValueError(f"{name} is {shape} in the checkpoint, {leaf.shape} in the model")
        wanted[name] = jnp.asarray(found[name])
    nested = traverse_util.unflatten_dict(wanted, sep="/")
    return cast(TrainState, serialization.from_state_dict(template, nested))
