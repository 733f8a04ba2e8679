import jax
import jax.numpy as jnp
import numpy as np

from echodfkd_jax.echoclip.architecture import Architecture
from echodfkd_jax.echoclip.image_tower import (
    DepthwiseConv,
    ImageTower,
    grouped_convolution,
    shifted_sums,
)
from echodfkd_jax.echoclip.text_tower import TextTower, causal_attention
from tests import factories

SMALL = Architecture(
    image_size_px=32, depths=(1, 2), widths=(8, 16), embedding=4, context_length=7,
    vocabulary=50, text_width=64, text_heads=1, text_layers=1,
)  # fmt: skip


def test_depthwise_convolution_shifts_by_its_kernel_and_pads_with_zeros():
    image = jnp.arange(1.0, 10.0).reshape(1, 3, 3, 1)
    kernel = jnp.zeros((7, 7, 1, 1)).at[3, 4, 0, 0].set(2.0)  # the pixel to the right, twice
    moved = DepthwiseConv().apply({"params": {"kernel": kernel, "bias": jnp.ones(1)}}, image)
    expected = [[5, 7, 1], [11, 13, 1], [17, 19, 1]]
    np.testing.assert_array_equal(moved[0, ..., 0], expected)


def test_depthwise_convolution_is_the_same_on_every_platform():
    rng = np.random.default_rng(0)
    image, kernel = (rng.normal(size=shape) for shape in ((2, 9, 11, 3), (7, 7, 1, 3)))
    image, kernel = jnp.asarray(image, jnp.float32), jnp.asarray(kernel, jnp.float32)
    expected = grouped_convolution(image, kernel, jax.lax.Precision.HIGHEST)
    np.testing.assert_allclose(jax.jit(shifted_sums)(image, kernel), expected, atol=1e-4)


def test_image_tower_computes_in_the_asked_type_with_float32_weights():
    tower = ImageTower(SMALL, jnp.bfloat16)
    variables = jax.eval_shape(tower.init, jax.random.key(0), jnp.zeros((1, 32, 32, 3)))
    assert {leaf.dtype for leaf in jax.tree.leaves(variables)} == {jnp.dtype("float32")}
    embeddings = jax.eval_shape(tower.apply, variables, jnp.zeros((2, 32, 32, 3)))
    assert embeddings.dtype == jnp.bfloat16


def test_attention_sees_nothing_of_later_positions():
    value = jnp.asarray([[[1.0], [3.0], [8.0]]])
    flat = jnp.zeros_like(value)  # equal scores: plain means over what is visible
    mixed = causal_attention(flat, flat, value, heads=1)
    np.testing.assert_allclose(mixed[0, :, 0], [1, 2, 4])


def test_attention_scores_are_divided_by_the_root_of_the_depth():
    query = key = jnp.full((1, 2, 4), 1.0).at[0, 0].set(0.0)
    value = jnp.asarray([[[0.0] * 4, [1.0] * 4]])
    # Scores of the second position: 0 and 4 / sqrt(4) = 2.
    np.testing.assert_allclose(
        causal_attention(query, key, value, heads=1)[0, 1], 1 / (1 + np.exp(-2)), rtol=1e-6
    )


def test_text_tower_reads_at_the_end_token_and_ignores_what_follows():
    tower = TextTower(SMALL)
    same = [48, 3, 49, 0, 0, 0, 0], [48, 3, 49, 7, 7, 7, 7]
    tokens = np.array([*same, [48, 4, 49, 0, 0, 0, 0]], np.int32)
    variables = factories.random_weights(tower, tokens)
    first, second, other = np.asarray(jax.jit(tower.apply)(variables, tokens))
    np.testing.assert_allclose(first, second, atol=1e-6)
    assert np.abs(other - first).max() > 1e-4
