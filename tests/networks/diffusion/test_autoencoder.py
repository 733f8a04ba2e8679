import jax
import jax.numpy as jnp
import numpy as np
import pytest

from echodfkd_jax.errors import UserError
from echodfkd_jax.networks.diffusion.autoencoder import (
    FrameAutoencoder,
    Posterior,
    posterior_of,
)
from echodfkd_jax.networks.diffusion.layers import Norm
from tests import factories
from tests.networks.diffusion import golden

NETWORK = FrameAutoencoder()
SHAPES = tuple(jax.ShapeDtypeStruct((1, *s), jnp.float32) for s in ((32, 32, 3), (4, 4, 4)))
SMALL = FrameAutoencoder(1, 2, widths=(4, 8), layers=1, norm=Norm(2, 1e-6))


@pytest.fixture(scope="module")
def arrays():
    return golden.arrays("vae")


@pytest.fixture(scope="module")
def both():
    return jax.jit(
        lambda variables, frames, latents: (
            NETWORK.apply(variables, frames, method="encode"),
            NETWORK.apply(variables, latents, method="decode"),
        )
    )


@pytest.mark.slow
def test_the_recipe_makes_the_recorded_weights():
    golden.check_recipe("vae", "vae")


@pytest.mark.parametrize(
    "part, count",
    [
        ("", 62_412_007),
        ("encoder", 25_312_904),
        ("decoder", 37_099_011),
        ("quant_conv", 72),
        ("post_quant_conv", 20),
    ],
)
def test_has_the_published_number_of_weights(part, count):
    params = golden.template(NETWORK, *SHAPES)["params"]
    assert golden.num_weights({"params": params[part] if part else params}) == count


@pytest.mark.slow
@pytest.mark.parametrize("small", [False, True])
def test_gives_the_published_moments_and_pixels(both, arrays, small):
    variables = golden.variables(NETWORK, "vae", "vae", *SHAPES, small=small)
    frames = arrays["frame"][None].astype(jnp.float32) / 128 - 1
    latents = golden.channels_last(arrays["latent"])[None]
    posterior, decoded = jax.tree.map(golden.channels_first, both(variables, frames, latents))
    prefix = "epsprobe_" if small else ""
    for got, wanted in zip(posterior, ("mean", "logvar")):
        np.testing.assert_allclose(got[0], arrays[prefix + wanted], atol=golden.ATOL)
    probes = decoded[0][tuple(arrays["decoded_probe_index"].T)]
    np.testing.assert_allclose(probes, arrays[f"{prefix}decoded_probe_value"], atol=golden.ATOL)
    if not small:
        np.testing.assert_allclose(decoded[0], arrays["decoded"], atol=golden.ATOL_HALF)


def test_posterior_is_the_published_one(arrays):
    posterior = posterior_of(golden.channels_last(arrays["posterior_moments"]))
    log_variance = golden.channels_first(posterior.log_variance)
    np.testing.assert_array_equal(log_variance, arrays["posterior_logvar"])
    sample = posterior.sample(golden.channels_last(arrays["posterior_noise"]))
    np.testing.assert_allclose(
        golden.channels_first(sample), arrays["posterior_sample"], rtol=1e-5, atol=2e-3
    )
    np.testing.assert_allclose(posterior.divergence(), arrays["posterior_kl"], rtol=1e-5)


def test_a_standard_normal_posterior_diverges_nowhere():
    zeros = jnp.zeros((2, 3, 3, 1))
    np.testing.assert_array_equal(Posterior(zeros, zeros).divergence(), [0, 0])


@pytest.mark.slow
def test_a_small_one_halves_once_and_gives_features():
    frames, noise = golden.normal(0, 2, 4, 6, 1), golden.normal(1, 2, 2, 3, 2)
    variables = factories.random_weights(SMALL, frames, noise)
    decoded, posterior = SMALL.apply(variables, frames, noise)
    assert decoded.shape == frames.shape
    assert posterior.mean.shape == noise.shape
    assert SMALL.apply(variables, frames, method="features").shape == (2, 8)


def test_sides_that_cannot_be_halved_are_refused():
    frames = jnp.zeros((1, 5, 4, 1))
    with pytest.raises(UserError, match=r"images of 5 x 4: .* multiples of 2"):
        jax.eval_shape(SMALL.init, jax.random.key(0), frames, jnp.zeros((1, 2, 2, 2)))
