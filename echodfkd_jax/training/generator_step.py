"""One step of training a latent video model: its auto-encoder and its video network, both at once.

The steps are pure and run on one device or, with an `axis_name`, on every device's shard, as those
of `step.py`. What is drawn for a clip depends on the seed, the step and its row in the batch only,
so the numbers do not depend on the devices.

The auto-encoder learns from its own loss alone; the video network follows its latents, which come
to rest as the learning rate falls. The running statistics of the state are the latents' mean and
standard deviation by channel and the running average of all weights, with which clips are sampled.
"""

import dataclasses
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float, Int, Key

from echodfkd_jax.networks.diffusion.autoencoder import Posterior
from echodfkd_jax.networks.diffusion.latent_video import Condition, LatentVideo
from echodfkd_jax.synthesis.diffusion import (
    averages,
    frames,
    losses,
    padding,
    predictions,
    schedules,
)
from echodfkd_jax.training.state import TrainState, state_of

Batch = dict[str, jax.Array]
Metrics = dict[str, jax.Array]

# Of the divergence from the standard normal distribution, per pixel; as published.
_DIVERGENCE_WEIGHT = 1e-6
# How much of the latents' statistics is kept at every step.
_STATISTICS_DECAY = 0.99
_FIRST_SIDE = 16  # Of the frames that the weights are made with; they do not depend on it.


class Recipe(NamedTuple):
    """What the steps need besides the networks.

    Attributes:
        drop: probability that a clip's ejection fraction is not told, and that its frame is not
            shown; one of them at a time or both.
        seed: of all that is drawn.
    """

    drop: float
    seed: int


def schedule() -> Any:
    """Alpha-bar: the published betas without their remainder of signal at the end."""
    return schedules.zero_terminal_snr(schedules.linear_alphas_cumprod())


def create_state(
    model: LatentVideo, optimizer: optax.GradientTransformation, seed: int
) -> TrainState:
    """The state before the first step; the same for the same seed."""
    latent_side = _FIRST_SIDE // 2 ** (len(model.widths) - 1)
    pixels = jax.ShapeDtypeStruct((1, _FIRST_SIDE, _FIRST_SIDE, 1), jnp.float32)
    noise = jax.ShapeDtypeStruct((1, latent_side, latent_side, model.latent_channels), jnp.float32)
    # Lazily: to compile one program that draws hundreds of arrays takes minutes.
    params = model.lazy_init(jax.random.key(seed), pixels, noise)["params"]
    running = {
        "latents": {
            "mean": jnp.zeros(model.latent_channels),
            "std": jnp.ones(model.latent_channels),
        },
        # Copied: the step may not be given the same memory twice.
        "averaged": jax.tree.map(jnp.copy, params),
    }
    return state_of({"params": params, "batch_stats": running}, optimizer)


def train_step(
    state: TrainState,
    batch: Batch,
    *,
    model: LatentVideo,
    optimizer: optax.GradientTransformation,
    recipe: Recipe,
    axis_name: str | None,
) -> tuple[TrainState, Metrics]:
    """One step of gradient descent on the sum of both losses.

    Args:
        state: before the step.
        batch: this device's shard: `video` uint8 (b, t, h, w, 1), of which `count` (b,) frames are
            there; `still` uint8 (b, h, w, 1), any frame of the clip; `fraction` float32 (b,), nan
            where it is unknown.
        model: the two networks.
        optimizer: as in `state`.
        recipe: see there.
        axis_name: of the devices; None for one device alone.

    Returns:
        The state after the step, and float32 scalars as `step.train_step` gives them.
    """
    clips = len(batch["video"])
    keys = _keys_of_rows(recipe.seed, state.step, clips, axis_name)
    statistics = state.batch_stats["latents"]

    def both(params: Any) -> tuple[Array, tuple[Array, Any]]:
        reconstruction, moments = _reconstruction(model, params, batch, keys)
        loss = reconstruction + _denoising(model, params, statistics, batch, keys, recipe.drop)
        return jnp.mean(loss), (jnp.sum(loss), moments)

    gradient, (loss_sum, moments) = jax.grad(both, has_aux=True)(state.params)
    gradient, moments = _mean((gradient, moments), axis_name)
    updates, opt_state = optimizer.update(gradient, state.opt_state, state.params)
    params = optax.apply_updates(state.params, updates)
    grad_norm = optax.tree.norm(gradient)
    metrics = _sum({"loss_sum": loss_sum, "count": jnp.float32(clips)}, axis_name)
    finite = jnp.isfinite(metrics["loss_sum"]) & jnp.isfinite(grad_norm)
    metrics |= {"grad_norm": grad_norm, "finite": finite.astype(jnp.float32)}
    decay = averages.warming_decay(state.step + 1)
    running = {
        "latents": _follow(statistics, moments, first=state.step == 0),
        "averaged": averages.average(state.batch_stats["averaged"], params, decay),
    }
    state = dataclasses.replace(
        state, step=state.step + 1, params=params, batch_stats=running, opt_state=opt_state
    )
    return state, metrics


def eval_step(
    variables: dict[str, Any],
    batch: Batch,
    *,
    model: LatentVideo,
    recipe: Recipe,
    axis_name: str | None,
) -> Metrics:
    """Scores one batch with the averaged weights; what is drawn is the same at every call.

    Args:
        variables: params and batch_stats.
        batch: as in `train_step`; `weight` float32 (b,) is 1 for a clip and 0 for padding.
        model: as in `train_step`.
        recipe: `seed` is used; nothing is dropped.
        axis_name: as in `train_step`.

    Returns:
        Sums over the batch: `reconstruction_sum`, `denoising_sum`, their sum `loss_sum`, `count`.
    """
    running, weight = variables["batch_stats"], batch["weight"]
    keys = _keys_of_rows(recipe.seed, jnp.uint32(2**31), len(weight), axis_name)
    reconstruction, _ = _reconstruction(model, running["averaged"], batch, keys)
    denoising = _denoising(model, running["averaged"], running["latents"], batch, keys, 0.0)
    sums = {
        "loss_sum": jnp.sum(weight * (reconstruction + denoising)),
        "reconstruction_sum": jnp.sum(weight * reconstruction),
        "denoising_sum": jnp.sum(weight * denoising),
        "count": jnp.sum(weight),
    }
    return _sum(sums, axis_name)


def _reconstruction(
    model: LatentVideo, params: Any, batch: Batch, keys: Key[Array, "b"]
) -> tuple[Float[Array, "b"], tuple[Array, Array]]:
    """Loss of two frames of every clip; mean of the latents and of their squares, by channel."""
    signal = frames.to_signal(jnp.stack([batch["still"], batch["video"][:, 0]], 1))
    images = signal.reshape(-1, *signal.shape[2:])
    posterior = _encode(model, params, images)
    shape = (2, *posterior.mean.shape[1:])
    noise = jax.vmap(lambda key: jax.random.normal(key, shape))(_folded(keys, 0))
    latents = posterior.sample(noise.reshape(posterior.mean.shape))
    found: Any = model.apply({"params": params}, latents, method="decode")
    error = jnp.mean(jnp.abs(found - images), axis=(1, 2, 3))
    divergence = posterior.divergence() / images[0].size
    loss = (error + _DIVERGENCE_WEIGHT * divergence).reshape(-1, 2).mean(1)
    return loss, (jnp.mean(latents, (0, 1, 2)), jnp.mean(latents**2, (0, 1, 2)))


def _denoising(
    model: LatentVideo,
    params: Any,
    statistics: dict[str, Array],
    batch: Batch,
    keys: Key[Array, "b"],
    drop: float,
) -> Float[Array, "b"]:
    """Mean squared error of the velocity over every clip's own frames."""
    table = schedule()
    levels = predictions.variance_preserving(table)
    video = jnp.concatenate([batch["still"][:, None], batch["video"]], 1)
    signal = frames.to_signal(video)
    posterior = _encode(model, params, signal.reshape(-1, *signal.shape[2:]))
    shape = (video.shape[1], *posterior.mean.shape[1:])
    sampled = jax.vmap(lambda key: jax.random.normal(key, shape))(_folded(keys, 1))
    latents = posterior.sample(sampled.reshape(posterior.mean.shape)).reshape(len(video), *shape)
    # The auto-encoder is not to make latents that are easy to tell from noise.
    latents = jax.lax.stop_gradient((latents - statistics["mean"]) / statistics["std"])
    still, clean = latents[:, 0], latents[:, 1:]
    valid = losses.valid_frames(batch["count"], clean.shape[1])
    clean = jnp.where(valid[:, :, None, None, None], clean, 0.0)
    noise = jax.vmap(lambda key: losses.offset_noise(key, (1, *clean.shape[1:]))[0])(
        _folded(keys, 2)
    )
    times = jax.vmap(lambda key: jax.random.randint(key, (), 0, len(table)))(_folded(keys, 3))
    dropped = jax.vmap(lambda key: jax.random.bernoulli(key, drop, (2,)))(_folded(keys, 4))
    known = ~jnp.isnan(batch["fraction"]) & ~dropped[:, 0]
    fraction = jnp.nan_to_num(batch["fraction"])
    condition = Condition(fraction, known, padding.pad(still), ~dropped[:, 1])

    def network(noisy: Array, times: Array) -> Array:
        velocity: Any = model.apply({"params": params}, noisy, times, condition, method="predict")
        return velocity

    level = levels(times)
    found = padding.padded(network)(predictions.mix(clean, noise, level), times)
    error = (found - predictions.target_of(predictions.V, clean, noise, level)) ** 2
    return jax.vmap(losses.masked_mean)(error[:, None], valid[:, None])


def _encode(model: LatentVideo, params: Any, images: Float[Array, "n h w 1"]) -> Posterior:
    posterior: Any = model.apply({"params": params}, images, method="encode")
    return posterior


def _keys_of_rows(
    seed: int, step: Int[Array, ""] | Any, rows: int, axis_name: str | None
) -> Key[Array, "rows"]:
    """One key for each clip, by its place in the whole batch."""
    first = 0 if axis_name is None else rows * jax.lax.axis_index(axis_name)
    of_step = jax.random.fold_in(jax.random.key(seed), step)
    return jax.vmap(lambda row: jax.random.fold_in(of_step, row))(first + jnp.arange(rows))


def _folded(keys: Key[Array, "b"], purpose: int) -> Key[Array, "b"]:
    return jax.vmap(lambda key: jax.random.fold_in(key, purpose))(keys)


def _follow(
    old: dict[str, Array], moments: tuple[Array, Array], *, first: Array
) -> dict[str, Array]:
    """Running mean and deviation; the first step copies."""
    decay = jnp.where(first, 0.0, _STATISTICS_DECAY)
    mean, square = moments
    variance = jnp.maximum(square - mean**2, 0.0)
    return {
        "mean": decay * old["mean"] + (1 - decay) * mean,
        "std": jnp.sqrt(decay * old["std"] ** 2 + (1 - decay) * variance),
    }


def _mean(tree: Any, axis_name: str | None) -> Any:
    return tree if axis_name is None else jax.lax.pmean(tree, axis_name)


def _sum(tree: Any, axis_name: str | None) -> Any:
    return tree if axis_name is None else jax.lax.psum(tree, axis_name)
