import jax
import jax.numpy as jnp
import numpy as np
import pytest

from echodfkd_jax.networks.diffusion.r2plus1d import R2Plus1D
from tests import factories
from tests.networks.diffusion import golden

NETWORK = R2Plus1D()


@pytest.fixture(scope="module")
def variables():
    clip = jax.ShapeDtypeStruct((1, 8, 32, 32, 3), jnp.float32)
    return golden.variables(NETWORK, "r2plus1d", "r2plus1d_18", clip)


@pytest.mark.slow
def test_the_recipe_makes_the_recorded_weights():
    golden.check_recipe("r2plus1d", "r2plus1d_18")


def test_has_the_published_number_of_weights(variables):
    assert golden.num_weights(variables) == 31_300_638


@pytest.mark.slow
def test_gives_torchvisions_features_and_output(variables):
    arrays = golden.arrays("r2plus1d_18")
    clip = (arrays["clip"].astype(jnp.float32) - arrays["mean"]) / arrays["std"]
    features = jax.jit(R2Plus1D(outputs=None).apply)(variables, clip[None])
    np.testing.assert_allclose(features[0], arrays["features"], atol=golden.ATOL)
    head = variables["params"]["fc"]
    output = np.asarray(features) @ head["kernel"] + head["bias"]
    np.testing.assert_allclose(output[0], arrays["output"], atol=golden.ATOL)


def test_a_small_one_gives_its_outputs_from_its_features():
    clip = golden.normal(0, 2, 4, 16, 16, 1)
    network = R2Plus1D(outputs=3, widths=(4, 8), blocks=1)
    variables = factories.random_weights(network, clip)
    outputs = jax.jit(network.apply)(variables, clip)
    assert outputs.shape == (2, 3)
    headless = R2Plus1D(outputs=None, widths=(4, 8), blocks=1)
    features = jax.jit(headless.apply)(variables, clip)
    head = variables["params"]["fc"]
    np.testing.assert_allclose(features @ head["kernel"] + head["bias"], outputs, rtol=1e-5)
