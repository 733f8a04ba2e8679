import functools

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from echodfkd_jax.networks.registry import build_model
from echodfkd_jax.training.state import create_state
from echodfkd_jax.training.step import eval_step, train_step


class Affine(nn.Module):
    """logit = scale * pixel + bias, both 0 at first."""

    @nn.compact
    def __call__(self, video, *, train=False):
        del train
        scale = self.param("scale", nn.initializers.zeros, ())
        bias = self.param("bias", nn.initializers.zeros, ())
        return scale * video + bias


BATCH = {
    "video": np.array([0, 1, 2, 3], np.uint8).reshape(2, 1, 2, 1, 1),
    "target": np.array([0, 0, 0, 255], np.uint8).reshape(2, 1, 2, 1, 1),
}
COMMON = {"model": Affine(), "expand": lambda batch: batch, "axis_name": None}


def test_one_step_of_plain_gradient_descent():
    optimizer = optax.sgd(1.0)
    state = create_state(Affine(), optimizer, 0, frame_shape=(2, 1))
    step = jax.jit(functools.partial(train_step, optimizer=optimizer, **COMMON))
    state, metrics = step(state, BATCH)
    # d/dlogit = (1/2 - target) / 4; the pixels weigh it for the scale.
    np.testing.assert_allclose(state.params["bias"], -(3 * 0.5 - 0.5) / 4)
    np.testing.assert_allclose(state.params["scale"], -(0.5 * (0 + 1 + 2) - 0.5 * 3) / 4, atol=1e-7)
    np.testing.assert_allclose(metrics["loss_sum"], 2 * 0.6931472, rtol=1e-6)
    np.testing.assert_allclose(metrics["grad_norm"], 0.25)
    assert metrics["count"] == 2
    assert metrics["finite"] == 1
    assert state.step == 1


def test_a_number_that_is_not_finite_is_flagged():
    optimizer = optax.sgd(1.0)
    state = create_state(Affine(), optimizer, 0, frame_shape=(2, 1))
    state = state.replace(params={"scale": jnp.nan, "bias": jnp.zeros(())})
    step = functools.partial(train_step, optimizer=optimizer, **COMMON)
    _, metrics = jax.jit(step)(state, BATCH)
    assert metrics["finite"] == 0


def test_padding_does_not_count():
    variables = {"params": {"scale": jnp.float32(1.0), "bias": jnp.float32(-2.5)}}
    batch = BATCH | {"weight": np.array([0.0, 1.0], np.float32)}
    sums = jax.jit(functools.partial(eval_step, **COMMON))(variables, batch)
    # The second clip: logits -0.5 and 0.5 against 0 and 1; both are cut right.
    np.testing.assert_allclose(sums["loss_sum"], np.log1p(np.exp(-0.5)), rtol=1e-6)
    assert sums["dice_sum"] == 1
    assert sums["count"] == 1


CONVLSTM = {"name": "convlstm", "blocks": 2, "layers": 1, "filters": 2}
UNET = {"name": "unet", "channels": (2, 4)}


def _learned(fields, **options):
    """One step on two clips of four 8x8 frames."""
    model = build_model(**fields)
    optimizer = optax.sgd(1.0)
    state = create_state(model, optimizer, 0, frame_shape=(8, 8))
    noise = np.random.default_rng(0).integers(0, 255, (2, 4, 8, 8, 1)).astype(np.uint8)
    common = COMMON | {"model": model, "optimizer": optimizer} | options
    step = functools.partial(train_step, **common)
    compiled = jax.jit(step).lower(state, {"video": noise, "target": noise}).compile()
    return *compiled(state, {"video": noise, "target": noise}), compiled.memory_analysis()


@pytest.mark.slow
@pytest.mark.parametrize("fields", [CONVLSTM, UNET])
def test_rematerialisation_changes_no_number(fields):
    kept, metrics, _ = _learned(fields)
    again, metrics_again, _ = _learned(fields | {"remat": True})
    np.testing.assert_allclose(metrics_again["loss_sum"], metrics["loss_sum"], rtol=1e-6)
    jax.tree.map(
        functools.partial(np.testing.assert_allclose, rtol=1e-4, atol=1e-6),
        kept.params,
        again.params,
    )


@pytest.mark.slow
@pytest.mark.parametrize("fields", [CONVLSTM, UNET])
def test_bfloat16_keeps_state_and_loss_in_float32(fields):
    state, metrics, _ = _learned(fields | {"dtype": "bfloat16"})
    _, exact_metrics, _ = _learned(fields)
    assert {leaf.dtype for leaf in jax.tree.leaves((state.params, state.batch_stats))} == {
        np.dtype("float32")
    }
    assert metrics["loss_sum"].dtype == np.float32
    np.testing.assert_allclose(metrics["loss_sum"], exact_metrics["loss_sum"], rtol=0.02)
    # It was computed in another precision indeed.
    assert metrics["loss_sum"] != exact_metrics["loss_sum"]


def test_two_micro_batches_give_the_gradient_of_the_whole_batch():
    optimizer = optax.sgd(1.0)
    state = create_state(Affine(), optimizer, 0, frame_shape=(2, 1))
    step = functools.partial(train_step, optimizer=optimizer, **COMMON)
    whole, metrics = jax.jit(step)(state, BATCH)
    split, of_split = jax.jit(functools.partial(step, accumulate_steps=2))(state, BATCH)
    jax.tree.map(np.testing.assert_allclose, split.params, whole.params)
    for name, value in metrics.items():
        np.testing.assert_allclose(of_split[name], value, rtol=1e-6, err_msg=name)


@pytest.mark.slow
def test_running_statistics_are_updated_with_every_micro_batch():
    one, _, _ = _learned(UNET)
    two, _, _ = _learned(UNET, accumulate_steps=2)
    # From 1: 0.9 + 0.1 v after one update, 0.81 + 0.09 v1 + 0.1 v2 after two.
    before, after = (jax.tree.leaves(s.batch_stats["down_0_0_norm"]) for s in (one, two))
    assert np.all(np.abs(after[1] - 1) > np.abs(before[1] - 1))


@pytest.mark.parametrize("accumulate_steps", [1, 2])
def test_augmentation_gets_the_step_and_the_rows_of_the_batch(accumulate_steps):
    def augment(step, rows, data, seen, outlined):
        assert list(seen) == list(outlined) == [0]
        mark = (10 * step + rows).astype(jnp.uint8)[:, None, None, None, None]
        return {"video": data["video"] * 0 + mark, "target": data["target"]}

    optimizer = optax.sgd(0.0)
    state = create_state(Affine(), optimizer, 0, frame_shape=(2, 1)).replace(step=jnp.int32(3))
    params = {"scale": jnp.float32(1.0), "bias": jnp.zeros(())}
    step = functools.partial(
        train_step, optimizer=optimizer, augment=augment, accumulate_steps=accumulate_steps
    )
    _, metrics = jax.jit(functools.partial(step, **COMMON))(state.replace(params=params), BATCH)
    # Logits 30 and 31: on a target of 0 they cost as much, on one of 1 nothing.
    np.testing.assert_allclose(metrics["loss_sum"], 30 + 31 / 2, rtol=1e-6)
