"""One step on one device, written once: `parallel.py` runs it on one device or on many.

Both functions are pure. With an `axis_name` they run on every device's shard of the batch at once:
gradients are averaged and metrics summed over that axis, and the model's own `axis_name` makes
BatchNorm's statistics those of the whole batch, so that the numbers do not depend on the devices.
A model without one keeps statistics per device, and the running ones become the devices' mean.
"""

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any, cast

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import linen as nn

from echodfkd_jax.training.augmentation import Augment, rows_of_device
from echodfkd_jax.training.losses import Loss, binary_cross_entropy, soft_mask
from echodfkd_jax.training.metrics import dice_per_clip
from echodfkd_jax.training.state import TrainState

# A batch as the input gives it -> {"video", "target"}, uint8 (b, t, h, w, 1) and (b, t, h, w, s),
# and where frames count differently, {"frame_weights"}, float32 (b, t).
Expand = Callable[[dict[str, jax.Array]], dict[str, jax.Array]]
Metrics = dict[str, jax.Array]


def train_step(
    state: TrainState,
    batch: dict[str, jax.Array],
    *,
    model: nn.Module,
    optimizer: optax.GradientTransformation,
    expand: Expand,
    axis_name: str | None,
    loss: Loss = binary_cross_entropy,
    accumulate_steps: int = 1,
    augment: Augment | None = None,
) -> tuple[TrainState, Metrics]:
    """One step of gradient descent.

    Args:
        state: before the step.
        batch: this device's shard.
        model: logits (b, t, h, w, s) from video float32 (b, t, h, w, 1) in 0..255; in training of
            the frames that its `training_frames`, if it has this method, says are outlined.
        optimizer: as in `state`.
        expand: turns the batch into frames and targets.
        axis_name: of the devices; None for one device alone.
        loss: one value per clip.
        accumulate_steps: micro-batches of equal size, of which one at a time is in memory. The
            gradient is that of the whole batch; normalisation statistics are those of a
            micro-batch, and the running ones are updated with each.
        augment: changes frames and targets at random; None: they are left as they are.

    Returns:
        The state after the step, and float32 scalars: `loss_sum` over the whole batch and its
        `count`, `grad_norm` before clipping, `finite` (1, or 0 when a number is not).
    """

    def learn(batch_stats: Any, part: dict[str, jax.Array]) -> tuple[Any, tuple[Any, jax.Array]]:
        data = _of_training_frames(model, part, expand, augment, state.step)
        video = data["video"].astype(jnp.float32)

        def loss_of(params: Any) -> tuple[jax.Array, tuple[Any, jax.Array]]:
            variables = {"params": params, "batch_stats": batch_stats}
            logits, updated = model.apply(variables, video, train=True, mutable=["batch_stats"])
            losses = loss(logits, data["target"], data.get("frame_weights"))
            return jnp.mean(losses), (updated.get("batch_stats", {}), jnp.sum(losses))

        gradient, (batch_stats, loss_sum) = jax.grad(loss_of, has_aux=True)(state.params)
        return batch_stats, (gradient, loss_sum)

    clips = len(next(iter(batch.values())))
    if augment is not None:
        alone = axis_name is None
        batch = batch | {
            "row": rows_of_device(
                clips,
                micro_batches=accumulate_steps,
                device=0 if alone else jax.lax.axis_index(axis_name),
                num_devices=1 if alone else jax.lax.axis_size(axis_name),
            )
        }
    if accumulate_steps == 1:
        batch_stats, (gradient, loss_sum) = learn(state.batch_stats, batch)
    else:
        batch_stats, (gradient, loss_sum) = _over_micro_batches(
            learn, state.batch_stats, batch, accumulate_steps
        )
    # Shards are of equal size, so the mean of their gradients is the gradient of the mean loss.
    gradient, batch_stats = _mean((gradient, batch_stats), axis_name)
    updates, opt_state = optimizer.update(gradient, state.opt_state, state.params)
    grad_norm = optax.tree.norm(gradient)
    metrics = _sum({"loss_sum": loss_sum, "count": jnp.float32(clips)}, axis_name)
    metrics["grad_norm"] = grad_norm
    finite = jnp.isfinite(metrics["loss_sum"]) & jnp.isfinite(grad_norm)
    metrics["finite"] = finite.astype(jnp.float32)
    state = dataclasses.replace(
        state,
        step=state.step + 1,
        params=optax.apply_updates(state.params, updates),
        batch_stats=batch_stats,
        opt_state=opt_state,
    )
    return state, metrics


def eval_step(
    variables: dict[str, Any],
    batch: dict[str, jax.Array],
    *,
    model: nn.Module,
    expand: Expand,
    axis_name: str | None,
    loss: Loss = binary_cross_entropy,
) -> Metrics:
    """Scores one batch with running statistics.

    Args:
        variables: params and batch_stats.
        batch: this device's shard; `weight` float32 (b,) is 1 for a clip and 0 for padding.
        model: as in `train_step`.
        expand: as in `train_step`.
        axis_name: as in `train_step`.
        loss: as in `train_step`.

    Returns:
        float32 scalars over the whole batch: `loss_sum`, `dice_sum` and their `count`.
    """
    data = expand(batch)
    logits = _logits(model, variables, data)
    weight = batch["weight"]
    losses = loss(logits, data["target"], data.get("frame_weights"))
    dice = dice_per_clip(soft_mask(logits), data["target"], data.get("frame_weights"))
    sums = {
        "loss_sum": jnp.sum(weight * losses),
        "dice_sum": jnp.sum(weight * dice),
        "count": jnp.sum(weight),
    }
    return _sum(sums, axis_name)


def _of_training_frames(
    model: nn.Module,
    part: dict[str, jax.Array],
    expand: Expand,
    augment: Augment | None,
    step: jax.Array,
) -> dict[str, jax.Array]:
    """Frames, changed at random if they are to be, and targets and weights of what is outlined."""
    data = expand(part)
    seen, outlined = training_frames(model, data["video"].shape[1])
    if augment is None:
        data = {**data, "target": data["target"][:, np.array(outlined)]}
    else:
        data = augment(step, part["row"], data, seen, outlined)
    if "frame_weights" in data:
        data["frame_weights"] = data["frame_weights"][:, np.array(outlined)]
    return data


def predict_step(
    variables: dict[str, Any], batch: dict[str, jax.Array], *, model: nn.Module, expand: Expand
) -> dict[str, jax.Array]:
    """Frames, targets and soft masks of one batch, uint8 (b, t, h, w, _), to be looked at."""
    data = expand(batch)
    logits = _logits(model, variables, data)
    return {**data, "predicted": soft_mask(logits)}


def _logits(model: nn.Module, variables: dict[str, Any], data: dict[str, jax.Array]) -> jax.Array:
    video = data["video"].astype(jnp.float32)
    return cast(jax.Array, model.apply(variables, video, train=False))


def training_frames(model: nn.Module, num_frames: int) -> tuple[Sequence[int], Sequence[int]]:
    """Which frames of a window the network sees in training, and which it outlines."""
    chosen = getattr(model, "training_frames", None)
    every = range(num_frames)
    return (every, every) if chosen is None else chosen(num_frames)


def _over_micro_batches(
    learn: Callable[[Any, dict[str, jax.Array]], tuple[Any, tuple[Any, jax.Array]]],
    batch_stats: Any,
    batch: dict[str, jax.Array],
    count: int,
) -> tuple[Any, tuple[Any, jax.Array]]:
    """`learn` on each micro-batch: last statistics, mean gradient, sum of the losses."""
    micro_batches = jax.tree.map(lambda rows: rows.reshape(count, -1, *rows.shape[1:]), batch)
    first = jax.tree.map(lambda rows: rows[0], micro_batches)
    found = jax.eval_shape(lambda: learn(batch_stats, first)[1])
    sums = jax.tree.map(lambda leaf: jnp.zeros(leaf.shape, leaf.dtype), found)

    def add(carry: tuple[Any, Any], part: dict[str, jax.Array]) -> tuple[tuple[Any, Any], None]:
        batch_stats, of_part = learn(carry[0], part)
        return (batch_stats, jax.tree.map(jnp.add, carry[1], of_part)), None

    (batch_stats, (gradient, loss_sum)), _ = jax.lax.scan(add, (batch_stats, sums), micro_batches)
    return batch_stats, (jax.tree.map(lambda leaf: leaf / count, gradient), loss_sum)


def _mean(tree: Any, axis_name: str | None) -> Any:
    return tree if axis_name is None else jax.lax.pmean(tree, axis_name)


def _sum(tree: Any, axis_name: str | None) -> Any:
    return tree if axis_name is None else jax.lax.psum(tree, axis_name)
