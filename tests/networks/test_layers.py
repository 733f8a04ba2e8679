import jax
import jax.numpy as jnp
import numpy as np

from echodfkd_jax.networks.blocks import PIXEL, Block, regroup
from echodfkd_jax.networks.layers import (
    BatchNorm,
    Conv3x3,
    UpConv3x3,
    average_pool,
    max_pool_2x2,
    resize_bilinear,
    upsample_nearest_2x,
)
from tests import factories


def image(rows):
    return jnp.array(rows, jnp.float32)[None, :, :, None]


def test_max_pool_of_a_literal_image():
    pooled = max_pool_2x2(image([[1, 2, 0, 0], [3, 0, -1, -5]]))
    np.testing.assert_array_equal(pooled[0, :, :, 0], [[3, 0]])


def test_max_pool_drops_an_odd_border():
    assert max_pool_2x2(jnp.zeros((1, 5, 7, 2))).shape == (1, 2, 3, 2)


def test_max_pool_gradient_of_a_tie_goes_to_the_first_pixel():
    gradient = jax.grad(lambda x: max_pool_2x2(x).sum())(image([[0, 7], [7, 7]]))
    np.testing.assert_array_equal(gradient[0, :, :, 0], [[0, 1], [0, 0]])


def test_upsampling_repeats_pixels():
    enlarged = upsample_nearest_2x(image([[1, 2]]))
    np.testing.assert_array_equal(enlarged[0, :, :, 0], [[1, 1, 2, 2], [1, 1, 2, 2]])


def test_average_pool_of_a_literal_image():
    np.testing.assert_array_equal(
        average_pool(image([[1, 2, 0, 4], [3, 2, 0, 0]]), 2)[0, 0], [[2], [1]]
    )


def test_bilinear_enlargement_has_half_pixel_centres():
    enlarged = resize_bilinear(image([[0, 4]]), 2)
    np.testing.assert_allclose(enlarged[0, 0, :, 0], [0, 1, 3, 4])


def test_up_convolution_equals_upsampling_then_convolution():
    inputs = jnp.asarray(np.random.default_rng(0).standard_normal((2, 3, 5, 4)), jnp.float32)
    variables = factories.random_weights(Conv3x3(6), upsample_nearest_2x(inputs))
    wanted = Conv3x3(6).apply(variables, upsample_nearest_2x(inputs))
    got = regroup(UpConv3x3(6).apply(variables, inputs), Block(2, 2), PIXEL)
    np.testing.assert_allclose(got, wanted, rtol=1e-5, atol=1e-5)


def test_batch_norm_normalises_with_the_biased_and_stores_the_unbiased_variance():
    inputs = image([[1, 3]])  # Mean 2, variance 1 biased and 2 unbiased.
    norm = BatchNorm()
    variables = norm.init(jax.random.key(0), inputs, train=True)
    outputs, updates = norm.apply(variables, inputs, train=True, mutable=["batch_stats"])
    np.testing.assert_allclose(outputs[0, 0, :, 0], [-1, 1], rtol=1e-4)
    np.testing.assert_allclose(updates["batch_stats"]["mean"], [0.2], rtol=1e-6)
    np.testing.assert_allclose(updates["batch_stats"]["var"], [0.9 + 0.2], rtol=1e-6)


def test_batch_norm_uses_the_running_statistics_outside_training():
    variables = {
        "params": {"scale": jnp.array([2.0]), "bias": jnp.array([1.0])},
        "batch_stats": {"mean": jnp.array([5.0]), "var": jnp.array([4.0 - 1e-5])},
    }
    outputs = BatchNorm().apply(variables, image([[5, 9]]), train=False)
    np.testing.assert_allclose(outputs[0, 0, :, 0], [1, 5], rtol=1e-6)


def test_batch_norm_over_an_axis_is_that_of_the_whole_batch():
    inputs = jnp.asarray(np.random.default_rng(0).normal(3, 1, (4, 2, 2, 3)), jnp.float32)
    variables = BatchNorm().init(jax.random.key(0), inputs, train=True)

    def apply(axis_name, inputs):
        norm = BatchNorm(axis_name=axis_name)
        return norm.apply(variables, inputs, train=True, mutable=["batch_stats"])

    outputs, updates = apply(None, inputs)
    mapped = jax.vmap(lambda x: apply("data", x), axis_name="data")
    halves, half_updates = mapped(inputs.reshape(2, 2, 2, 2, 3))
    np.testing.assert_allclose(halves.reshape(inputs.shape), outputs, rtol=1e-5, atol=1e-5)
    for name in ("mean", "var"):
        for device in range(2):
            got = half_updates["batch_stats"][name][device]
            np.testing.assert_allclose(got, updates["batch_stats"][name], rtol=1e-5)
