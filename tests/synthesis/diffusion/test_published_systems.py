"""The published networks under samplers, windows and losses: whole chains and training steps."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from echodfkd_jax.interop.torch_modules import torch_from_variables
from echodfkd_jax.networks.diffusion.image_unet import ImageUNet
from echodfkd_jax.networks.diffusion.video_unet import VideoUNet, with_frame
from echodfkd_jax.synthesis.diffusion import (
    losses,
    padding,
    predictions,
    samplers,
    schedules,
    stitching,
)
from tests.networks.diffusion import golden
from tests.synthesis.diffusion.golden import facts
from tests.testdata.generative_recipe import input_value

pytestmark = pytest.mark.slow

IMAGE_NETWORK, VIDEO_NETWORK = ImageUNet(), VideoUNet()
ALPHAS = schedules.linear_alphas_cumprod()
LEVELS = predictions.variance_preserving(ALPHAS)
STEPS = schedules.leading(ALPHAS, 64)
CLIP = 4.0
SHAPE = jax.ShapeDtypeStruct


def image_variables():
    inputs = SHAPE((1, 16, 16, 4), jnp.float32), SHAPE((1,), jnp.int32)
    return golden.variables(IMAGE_NETWORK, "lidm", "lidm", *inputs)


def video_variables():
    clips, tokens = SHAPE((1, 2, 16, 16, 8), jnp.float32), SHAPE((1, 1, 1), jnp.float32)
    inputs = clips, SHAPE((1,), jnp.int32), tokens
    return golden.variables(VIDEO_NETWORK, "lvdm", "lvdm", *inputs)


def image_network(variables):
    def network(state, time):
        return IMAGE_NETWORK.apply(variables, state, jnp.broadcast_to(time, (len(state),)))

    return padding.padded(network)


def video_network(variables):
    """Of windows, with fractions (rows, 1) and frames (rows, h, w, c) as conditions."""

    def network(rows, time, conditions):
        fractions, frames = conditions
        times = jnp.broadcast_to(time, (len(rows),))
        seen = padding.pad(with_frame(rows, frames))
        found = VIDEO_NETWORK.apply(variables, seen, times, fractions[:, None])
        return padding.crop(found, *rows.shape[2:4])

    return network


def test_sixty_four_steps_of_the_latent_image_model():
    recorded = golden.arrays("lidm")
    noise = golden.channels_last(recorded["chain_noise"])[:, None]

    @jax.jit
    def sample(variables, start, noise):
        denoise = predictions.denoiser(image_network(variables), "v", LEVELS, clip=CLIP)
        sampler = samplers.ancestral(denoise, STEPS, lambda number: noise[number])
        return samplers.run_and_keep(sampler, start, STEPS).state

    start = golden.channels_last(recorded["chain_start"])[None]
    states = sample(image_variables(), start, noise)[recorded["chain_kept_steps"], 0]
    np.testing.assert_allclose(
        golden.channels_first(states), recorded["chain_states"], rtol=0, atol=3e-4
    )


def clip_of(recorded):
    """(c, t, h, w) as a batch of one."""
    return jnp.moveaxis(recorded, 0, -1)[None]


@pytest.fixture(scope="module")
def six_frames():
    """What is put together of the windows 0..3 and 2..5 at t=480, and the step that follows."""
    recorded = golden.arrays("lvdm")
    windows = stitching.plan(6, 4, 2)
    clips = clip_of(recorded["noisy_6"])
    frame = golden.channels_last(recorded["cond_a"])[None]
    conditions = tuple(
        stitching.condition_rows(each, windows) for each in (jnp.asarray([[0.65]]), frame)
    )
    number = list(STEPS.time).index(480)
    noise = clip_of(recorded["stitch_step_noise"])

    @jax.jit
    def step(variables, clips):
        found = {}
        for join in (stitching.first_wins, stitching.averaged):
            network = stitching.stitched(video_network(variables), conditions, windows, join=join)
            found[join.__name__] = network(clips, jnp.int32(480))
        denoise = predictions.denoiser(lambda *_: found["first_wins"], "v", LEVELS, clip=CLIP)
        sampler = samplers.ancestral(denoise, STEPS, lambda _: noise)
        return found | {"step_after": sampler(clips, jnp.int32(number)).state}

    return recorded, step(video_variables(), clips)


@pytest.mark.parametrize("name", ["first_wins", "averaged", "step_after"])
def test_a_stitched_step_of_the_latent_video_model(six_frames, name):
    recorded, found = six_frames
    np.testing.assert_allclose(
        found[name], clip_of(recorded[f"stitch_{name}"]), rtol=0, atol=golden.ATOL
    )


def image_loss(params):
    clean, noise = (
        golden.channels_last(jnp.asarray(input_value(name, (2, 4, 14, 14))))
        for name in ("train_latents", "train_noise")
    )
    times = jnp.asarray([480, 15])
    level = LEVELS(times)
    network = padding.padded(lambda x, t: IMAGE_NETWORK.apply({"params": params}, x, t))
    found = network(predictions.mix(clean, noise, level), times)
    return jnp.mean((found - predictions.target_of("v", clean, noise, level)) ** 2)


def video_loss(params, *, published):
    shape, count = (1, 4, 4, 14, 14), facts("training_step")["lvdm"]["valid_frames"]
    clean, noise = (
        jnp.moveaxis(jnp.asarray(input_value(name, shape)), 1, -1)
        for name in ("train_video", "train_video_noise")
    )
    clean = clean.at[:, count:].set(0.0)
    offset = jnp.moveaxis(jnp.asarray(input_value("train_video_offset", (1, 4, 1, 1, 1))), 1, -1)
    noise = noise + losses.NOISE_OFFSET * offset
    frame = golden.channels_last(jnp.asarray(input_value("train_video_cond", (1, 4, 14, 14))))
    level = LEVELS(jnp.asarray([480]))
    network = video_network({"params": params})
    conditions = jnp.asarray([[facts("training_step")["lvdm"]["ef"]]]), frame
    found = network(predictions.mix(clean, noise, level), jnp.int32(480), conditions)
    error = (found - predictions.target_of("v", clean, noise, level)) ** 2
    valid = losses.valid_frames(jnp.asarray([count]), 4, published=published)
    return losses.masked_mean(error, valid, published=published)


def check_training_step(recorded, params, loss_of):
    """Loss, gradients, and the weights and the loss after one clipped step."""
    optimizer = optax.chain(
        optax.clip_by_global_norm(1.0), optax.adamw(recorded["lr"], weight_decay=1e-2)
    )
    loss, gradient = jax.jit(jax.value_and_grad(loss_of))(params)
    np.testing.assert_allclose(loss, recorded["loss"], rtol=1e-5)
    np.testing.assert_allclose(
        optax.tree.norm(gradient), recorded["global_grad_norm_before_clip"], rtol=1e-4
    )
    updates, _ = optimizer.update(gradient, optimizer.init(params), params)
    params = optax.apply_updates(params, updates)
    by_key = torch_from_variables({"params": gradient})
    for key, norm in recorded["grad_norm"].items():
        np.testing.assert_allclose(
            np.linalg.norm(by_key[key]), norm, rtol=1e-4, atol=1e-7, err_msg=key
        )
    after = torch_from_variables({"params": params})
    for key, first in recorded["weights_after_step_first_values"].items():
        slopes = np.asarray(recorded["grad_first_values"][key])
        steady = np.abs(slopes) > 1e-6  # Of others the step's direction is rounding.
        found = np.ravel(after[key])[: len(first)]
        np.testing.assert_allclose(found[steady], np.asarray(first)[steady], atol=1e-5, err_msg=key)
    np.testing.assert_allclose(jax.jit(loss_of)(params), recorded["loss_after_step"], rtol=1e-5)
    return by_key


def test_a_training_step_of_the_latent_image_model():
    check_training_step(facts("training_step")["lidm"], image_variables()["params"], image_loss)


def test_a_training_step_of_the_latent_video_model():
    recorded = facts("training_step")["lvdm"]
    params = video_variables()["params"]
    repaired = jax.jit(functools.partial(video_loss, published=False))(params)
    np.testing.assert_allclose(repaired, recorded["loss_mean_over_valid_elements"], rtol=1e-5)
    by_key = check_training_step(recorded, params, functools.partial(video_loss, published=True))
    dead = sum(gradient.size for gradient in by_key.values() if not np.any(gradient))
    assert dead == recorded["parameters_without_gradient"]
