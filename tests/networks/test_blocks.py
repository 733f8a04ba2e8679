import jax
import jax.numpy as jnp
import numpy as np
import pytest

from echodfkd_jax.networks.blocks import PIXEL, Block, Form, over_blocks, regroup
from echodfkd_jax.networks.convolution import convolve_3x3
from echodfkd_jax.networks.layers import BatchNorm, Head, UpConv3x3, max_pool_2x2, max_pool_blocks
from tests import factories

BLOCKS = [Block(1, 2), Block(2, 2), Block(2, 4)]


def images(*shape, seed=0):
    return jnp.asarray(np.random.default_rng(seed).standard_normal(shape), jnp.float32)


def test_a_block_lists_its_pixels_row_by_row():
    pixels = jnp.arange(8.0).reshape(1, 2, 4, 1)
    blocks = regroup(pixels, PIXEL, Block(2, 2))
    np.testing.assert_array_equal(blocks[0, 0], [[0, 1, 4, 5], [2, 3, 6, 7]])


@pytest.mark.parametrize("old", [PIXEL, *BLOCKS])
@pytest.mark.parametrize("new", [PIXEL, *BLOCKS])
def test_regrouping_is_that_through_single_pixels(old, new):
    pixels = images(2, 4, 8, 3)
    blocks = regroup(pixels, PIXEL, old)
    np.testing.assert_array_equal(regroup(blocks, old, new), regroup(pixels, PIXEL, new))
    np.testing.assert_array_equal(regroup(blocks, old, PIXEL), pixels)


@pytest.mark.parametrize("block", BLOCKS)
def test_convolution_over_blocks_is_that_over_pixels(block):
    pixels, kernel = images(2, 4, 8, 3), images(3, 3, 3, 5, seed=1)
    wide = over_blocks(kernel, block).reshape(3, 3, 3 * block.pixels, -1)
    got = convolve_3x3(regroup(pixels, PIXEL, block), wide)
    wanted = convolve_3x3(pixels, kernel)
    np.testing.assert_allclose(regroup(got, block, PIXEL), wanted, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("block", [PIXEL, *BLOCKS])
def test_pooling_of_blocks_is_that_of_pixels(block):
    pixels = images(2, 8, 8, 3)
    got, held = max_pool_blocks(regroup(pixels, PIXEL, block), block)
    np.testing.assert_array_equal(regroup(got, held, PIXEL), max_pool_2x2(pixels))


@pytest.mark.parametrize("block", BLOCKS)
@pytest.mark.parametrize("train", [True, False])
def test_normalisation_of_blocks_is_that_of_pixels(block, train):
    pixels, norm = images(2, 4, 8, 3) * jnp.arange(1.0, 4.0) + 2, BatchNorm()
    variables = norm.init(jax.random.key(0), pixels, train=True)
    apply = {"train": train, "mutable": ["batch_stats"]}
    got, stats = norm.apply(variables, regroup(pixels, PIXEL, block), block=block, **apply)
    wanted, wanted_stats = norm.apply(variables, pixels, **apply)
    np.testing.assert_allclose(regroup(got, block, PIXEL), wanted, rtol=1e-5, atol=1e-5)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5), stats, wanted_stats)


@pytest.mark.parametrize("block", BLOCKS)
def test_decoder_and_head_of_blocks_are_those_of_pixels(block):
    pixels = images(2, 4, 8, 3)
    decoder, head = UpConv3x3(2), Head()
    variables = factories.random_weights(decoder, pixels)
    variables["params"]["bias"] = jnp.array([1.0, -1.0])
    got = decoder.apply(variables, regroup(pixels, PIXEL, block), block)
    wanted = decoder.apply(variables, pixels)
    head_variables = head.init(jax.random.key(0), wanted, PIXEL.twice)
    got = head.apply(head_variables, got, block.twice)
    wanted = head.apply(head_variables, wanted, PIXEL.twice)
    assert got.shape == (2, 4 // block.rows, 8 // block.columns, 4 * block.pixels)
    got, wanted = regroup(got, block.twice, PIXEL), regroup(wanted, PIXEL.twice, PIXEL)
    np.testing.assert_allclose(got, wanted, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(
    ("channels", "height", "width", "block"),
    [
        (12, 112, 112, (2, 4)),
        (24, 56, 56, (2, 2)),
        (48, 28, 28, (1, 2)),
        (96, 14, 14, (1, 1)),
        (120, 14, 14, (1, 1)),
        (12, 7, 6, (1, 2)),
    ],
)
def test_blocks_fill_the_lanes_and_divide_the_image(channels, height, width, block):
    assert Form(96, False).block(channels, height, width) == block


def test_single_pixels_where_there_are_no_lanes():
    assert Form(1, True).block(12, 112, 112) == PIXEL
