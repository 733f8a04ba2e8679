import jax
import jax.numpy as jnp
import numpy as np
import pytest

from echodfkd_jax.errors import UserError
from echodfkd_jax.networks.diffusion.image_unet import DIFFECHO, ImageUNet
from echodfkd_jax.networks.diffusion.layers import Norm, sinusoids
from tests import factories
from tests.networks.diffusion import golden

IMAGES = jax.ShapeDtypeStruct((1, 16, 16, 4), jnp.float32)
PIXELS = jax.ShapeDtypeStruct((1, 32, 32, 1), jnp.float32)
TIMES = jax.ShapeDtypeStruct((1,), jnp.int32)
LIDM, PIXEL_NETWORK = ImageUNet(), ImageUNet(**DIFFECHO)


@pytest.fixture(scope="module")
def lidm():
    return golden.arrays("lidm")


@pytest.fixture(scope="module")
def lidm_variables():
    return golden.variables(LIDM, "lidm", "lidm", IMAGES, TIMES)


@pytest.fixture(scope="module")
def denoise():
    return jax.jit(lambda variables, x, t: golden.channels_first(LIDM.apply(variables, x, t)))


@pytest.mark.slow
@pytest.mark.parametrize("network, file", [("lidm", "lidm"), ("diffecho", "diffecho_unet")])
def test_the_recipe_makes_the_recorded_weights(network, file):
    golden.check_recipe(network, file)


@pytest.mark.parametrize(
    "network, images, count", [(LIDM, IMAGES, 73_548_804), (PIXEL_NETWORK, PIXELS, 28_444_929)]
)
def test_has_the_published_number_of_weights(network, images, count):
    assert golden.num_weights(golden.template(network, images, TIMES)) == count


@pytest.mark.parametrize(
    "part, count",
    [
        ("conv_in", 4_736),
        ("time_embedding", 328_704),
        ("down_blocks", 18_804_352),
        ("mid_block", 11_020_288),
        ("up_blocks", 43_385_856),
        ("conv_", 4_868 + 4_736),
    ],
)
def test_every_part_has_the_published_number_of_weights(part, count):
    params = golden.template(LIDM, IMAGES, TIMES)["params"]
    parts = {name: leaf for name, leaf in params.items() if name.startswith(part)}
    assert golden.num_weights({"params": parts}) == count


@pytest.mark.parametrize("width", [64, 128])
def test_sinusoids_are_the_published_ones(lidm, width):
    # In float32 the angle at step 945 is known to 4e-5.
    np.testing.assert_allclose(
        sinusoids(lidm["sinusoid_t"], width), lidm[f"sinusoid_{width}"], atol=3e-4
    )


def test_sinusoids_of_width_one_are_zero():
    np.testing.assert_array_equal(sinusoids(jnp.array([0, 7]), 1), [[0], [0]])


@pytest.mark.slow
@pytest.mark.parametrize("time", [945, 480, 0])
def test_latent_network_gives_the_published_output(denoise, lidm_variables, lidm, time):
    images = golden.channels_last(lidm["padded"])[None]
    got = denoise(lidm_variables, images, jnp.array([time]))[0]
    np.testing.assert_allclose(got, lidm[f"out16_t{time}"], atol=golden.ATOL)


@pytest.mark.slow
def test_images_of_a_batch_have_their_own_times(denoise, lidm_variables, lidm):
    latents = jnp.stack([lidm["latent"], lidm["batch_latent_1"]])
    padded = jnp.pad(latents, ((0, 0), (0, 0), (1, 1), (1, 1)), mode="edge")
    got = denoise(lidm_variables, golden.channels_last(padded), lidm["batch_timesteps"])
    np.testing.assert_allclose(got, lidm["batch_out16"], atol=golden.ATOL)


@pytest.mark.slow
def test_latent_network_has_the_published_epsilons(denoise, lidm):
    variables = golden.variables(LIDM, "lidm", "lidm", IMAGES, TIMES, small=True)
    images = golden.channels_last(lidm["padded"])[None]
    got = denoise(variables, images, jnp.array([480]))[0]
    np.testing.assert_allclose(got, lidm["epsprobe_out16_t480"], atol=golden.ATOL)


@pytest.mark.slow
@pytest.mark.parametrize(
    "time, small, name", [(999, False, "t999"), (50, False, "t50"), (50, True, "t50")]
)
def test_pixel_network_gives_the_published_output(time, small, name):
    arrays = golden.arrays("diffecho_unet")
    variables = golden.variables(
        PIXEL_NETWORK, "diffecho", "diffecho_unet", PIXELS, TIMES, small=small
    )
    image = arrays["image"][None, :, :, None]
    got = jax.jit(PIXEL_NETWORK.apply)(variables, image, jnp.array([time]))[0, :, :, 0]
    rows, columns = arrays["probe_index"].T
    wanted = arrays[f"{'epsprobe_' if small else ''}out_{name}_probe_value"]
    np.testing.assert_allclose(got[rows, columns], wanted, atol=golden.ATOL)
    if not small:
        wanted = arrays[f"out_{name}_stride4"]
        np.testing.assert_allclose(got[::4, ::4], wanted, atol=golden.ATOL_HALF)


@pytest.mark.slow
def test_a_small_one_takes_conditions_in_further_channels():
    network = ImageUNet(2, (4, 8), (False, True), layers=1, head_width=4, norm=Norm(2))
    images, times = golden.normal(0, 2, 6, 8, 3), jnp.array([1, 500])
    variables = factories.random_weights(network, images, times)
    outputs = network.apply(variables, images, times)
    assert outputs.shape == (2, 6, 8, 2)
    halved = jax.tree.map(lambda x: x.astype(jnp.bfloat16), (variables, images))
    rounded = network.apply(*halved, times)
    assert rounded.dtype == jnp.bfloat16
    np.testing.assert_allclose(rounded.astype(jnp.float32), outputs, atol=0.1)


def test_sides_that_cannot_be_halved_are_refused():
    with pytest.raises(UserError, match=r"images of 14 x 16: .* 4 levels .* multiples of 8"):
        jax.eval_shape(LIDM.init, jax.random.key(0), jnp.zeros((1, 14, 16, 4)), jnp.zeros(1))
