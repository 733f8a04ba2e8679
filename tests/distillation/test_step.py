import functools

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax

from echodfkd_jax.distillation.state import create_state
from echodfkd_jax.distillation.step import eval_step, train_step


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
