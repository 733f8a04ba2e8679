import jax
import jax.numpy as jnp
import numpy as np
import pytest

from echodfkd_jax.networks.diffusion.reidentification import (
    ReidentificationNetwork,
    to_full_range,
)
from echodfkd_jax.networks.resnet import Stage
from tests import factories
from tests.networks.diffusion import golden

NETWORK = ReidentificationNetwork()
SMALL = ReidentificationNetwork(embedding=8, stages=(Stage(1, 4, 1), Stage(1, 4, 2)))


@pytest.fixture(scope="module")
def variables():
    images = jax.ShapeDtypeStruct((1, 14, 14, 4), jnp.float32)
    return golden.variables(NETWORK, "siamese", "siamese", images, images)


@pytest.fixture(scope="module")
def arrays():
    return golden.arrays("siamese")


@pytest.fixture(scope="module")
def embed(variables):
    apply = jax.jit(lambda images: NETWORK.apply(variables, images, method="embed"))
    return lambda latents, *, each: apply(to_full_range(channels_last(latents), each=each))


def channels_last(latents):
    return jnp.moveaxis(latents, 1, -1)


@pytest.mark.slow
def test_the_recipe_makes_the_recorded_weights():
    golden.check_recipe("siamese", "siamese")


def test_has_the_published_number_of_weights(variables):
    assert golden.num_weights(variables) == 23_773_569


def test_scales_a_clip_by_its_own_range(arrays):
    scaled = to_full_range(channels_last(arrays["clip"]), each=False)[0]
    np.testing.assert_allclose(
        np.moveaxis(scaled, -1, 0), arrays["clip_normalised_frame0"], atol=1e-6
    )


@pytest.mark.slow
@pytest.mark.parametrize(
    "latents, each, wanted",
    [
        ("clip", False, "embedding_clip"),
        ("synthetic", False, "embedding_synthetic_global"),
        ("synthetic", True, "embedding_synthetic_each"),
    ],
)
def test_embeddings_are_the_published_ones(embed, arrays, latents, each, wanted):
    got = embed(arrays[latents], each=each)
    np.testing.assert_allclose(got, arrays[wanted], atol=golden.ATOL)


@pytest.mark.slow
@pytest.mark.parametrize("each, wanted", [(False, "global"), (True, "each")])
def test_pairs_with_a_frame_get_the_published_logits(variables, embed, arrays, each, wanted):
    frame = embed(arrays["clip"], each=False)[:1]
    synthetic = embed(arrays["synthetic"], each=each)
    logits = NETWORK.apply(variables, jnp.tile(frame, (4, 1)), synthetic, method="compare")
    np.testing.assert_allclose(logits, arrays[f"pair_logit_{wanted}"], atol=golden.ATOL)
    probabilities = arrays[f"pair_probability_{wanted}"]
    np.testing.assert_allclose(jax.nn.sigmoid(logits), probabilities, atol=golden.ATOL)


def test_frames_of_a_clip_get_the_published_logits(variables, embed, arrays):
    frames = embed(arrays["clip"], each=False)
    logits = NETWORK.apply(variables, jnp.tile(frames[:1], (2, 1)), frames[1:], method="compare")
    np.testing.assert_allclose(logits, arrays["pair_logit_clip_frames"], atol=golden.ATOL)


def test_an_image_scaled_by_itself_does_not_depend_on_the_set():
    images = golden.normal(0, 3, 4, 4, 2)
    alone = to_full_range(images[:1], each=True)
    np.testing.assert_array_equal(to_full_range(images, each=True)[:1], alone)
    assert not np.allclose(to_full_range(images, each=False)[:1], alone)


@pytest.mark.slow
def test_a_small_one_learns_with_the_batchs_statistics():
    images = golden.normal(0, 4, 8, 8, 2)
    variables = factories.random_weights(SMALL, images, images)

    def loss(params, first, second):
        logits, updates = SMALL.apply(
            {**variables, "params": params}, first, second, train=True, mutable=["batch_stats"]
        )
        return -jax.nn.log_sigmoid(logits).mean(), updates

    (before, updates), gradient = jax.value_and_grad(loss, has_aux=True)(
        variables["params"], images, images[::-1]
    )
    params = jax.tree.map(lambda p, g: p - 0.05 * g, variables["params"], gradient)
    assert loss(params, images, images[::-1])[0] < before
    mean = updates["batch_stats"]["model"]["bn1"]["mean"]
    assert not np.allclose(mean, variables["batch_stats"]["model"]["bn1"]["mean"])
