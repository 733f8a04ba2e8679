import jax.numpy as jnp
import numpy as np
import pytest

from echodfkd_jax.synthesis.diffusion import padding
from tests.synthesis.diffusion.golden import facts

RULES = facts("stitching_and_data_rules")


@pytest.mark.parametrize("size", RULES["padding"])
def test_published_border(size):
    each = RULES["padding"][size]
    assert padding.border(int(size), published=True) == (each, each)


@pytest.mark.parametrize("size", range(1, 30))
def test_repaired_border_makes_the_next_multiple(size):
    before, after = padding.border(size)
    assert (size + before + after) % 8 == 0
    assert 0 <= after - before <= 1
    assert before + after < 8


def test_pixels_at_the_border_are_repeated():
    example = RULES["pad_example"]
    image = jnp.asarray(example["input"])[..., None]
    np.testing.assert_array_equal(padding.pad(image)[..., 0], example["output"])


@pytest.mark.parametrize("published", [False, True])
def test_cropping_is_the_inverse(published):
    images = jnp.arange(2 * 13 * 16 * 2.0).reshape(2, 13, 16, 2)
    wide = padding.pad(images, published=published)
    np.testing.assert_array_equal(padding.crop(wide, 13, 16, published=published), images)


def test_a_network_sees_the_padded_state():
    seen = []

    def network(state, time):
        seen.append(state.shape)
        return state + time

    state = jnp.ones((2, 3, 14, 14, 4))
    found = padding.padded(network)(state, jnp.float32(2))
    assert seen == [(2, 3, 16, 16, 4)]
    np.testing.assert_array_equal(found, 3 * state)
