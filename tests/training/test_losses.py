import jax.numpy as jnp
import numpy as np
import pytest

from echodfkd_jax.training.losses import binary_cross_entropy, soft_mask


def _clip(values, dtype):
    return jnp.asarray(values, dtype).reshape(1, 1, 1, -1, 1)


def test_loss_of_undecided_pixels_is_log_two():
    loss = binary_cross_entropy(_clip([0.0, 0.0], jnp.float32), _clip([0, 255], jnp.uint8))
    np.testing.assert_allclose(loss, [0.6931472], rtol=1e-6)


def test_loss_against_a_soft_target():
    # target 51/255 = 0.2: 0.8 * softplus(1) + 0.2 * softplus(-1)
    loss = binary_cross_entropy(_clip([1.0], jnp.float32), _clip([51], jnp.uint8))
    np.testing.assert_allclose(loss, [1.1132617], rtol=1e-6)


def test_batch_axis_is_kept():
    logits = jnp.stack([jnp.zeros((2, 3, 3, 1)), jnp.full((2, 3, 3, 1), 10.0)])
    target = jnp.full((2, 2, 3, 3, 1), 255, jnp.uint8)
    np.testing.assert_allclose(
        binary_cross_entropy(logits, target), [0.6931472, 4.539889e-05], rtol=1e-3
    )


def test_large_logits_stay_finite():
    loss = binary_cross_entropy(_clip([1e4, -1e4], jnp.float32), _clip([0, 255], jnp.uint8))
    np.testing.assert_allclose(loss, [1e4])


def test_soft_mask_rounds():
    logits = _clip([0.0, -100.0, 100.0, 1.0], jnp.float32)
    np.testing.assert_array_equal(soft_mask(logits).ravel(), [128, 0, 255, 186])


@pytest.mark.parametrize("shape", [(1, 1, 2, 2), (1, 1, 2, 2, 3)])
def test_other_shapes_are_refused(shape):
    with pytest.raises(Exception, match="Type-check error"):
        binary_cross_entropy(jnp.zeros(shape), jnp.zeros(shape, jnp.uint8))
