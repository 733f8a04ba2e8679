import jax
import jax.numpy as jnp
import numpy as np
import pytest

from echodfkd_jax.networks.diffusion.factorised_unet import (
    FactorisedUNet,
    bucket_of_pairs,
    rotate,
    sines_first,
)
from echodfkd_jax.networks.diffusion.layers import Norm
from tests import factories
from tests.networks.diffusion import golden

SMALL = FactorisedUNet(1, (4, 8), heads=2, norm=Norm(2))


@pytest.fixture(scope="module")
def params():
    clip = jax.ShapeDtypeStruct((1, 4, 16, 16, 8), jnp.float32)
    return golden.template(FactorisedUNet(), clip, jax.ShapeDtypeStruct((1,), jnp.float32))[
        "params"
    ]


@pytest.fixture(scope="module")
def small():
    clip, times = golden.normal(0, 2, 3, 4, 6, 2), jnp.array([0.1, -0.3])
    variables = factories.random_weights(SMALL, clip, times)
    return variables, jax.jit(SMALL.apply), clip, times


def test_has_the_published_number_of_weights_that_are_used(params):
    assert golden.num_weights({"params": params}) == 3_171_747


@pytest.mark.parametrize(
    "part, count",
    [
        ("init_conv", 12_576),
        ("init_temporal_attn", 32_800),
        ("time_rel_pos_bias", 256),
        ("time_mlp", 4_224 + 16_512),
        ("downs_0", 2 * 26_880 + 32_832 + 32_800 + 16_416),
        ("downs_1", 74_304 + 90_624 + 65_664 + 65_600 + 65_600),
        ("downs_2", 263_296 + 328_704 + 131_328 + 131_200),
        ("mid_", 328_704 + 131_200 + 131_200 + 328_704),
        ("ups_0", 217_664 + 90_624 + 65_664 + 65_600 + 65_600),
        ("ups_1", 58_656 + 26_880 + 32_832 + 32_800 + 16_416),
        ("ups_2", 38_176 + 26_880 + 32_832 + 32_800),
        ("final_", 29_920 + 99),
    ],
)
def test_every_part_has_the_published_number_of_weights(params, part, count):
    parts = {name: leaf for name, leaf in params.items() if name.startswith(part)}
    assert golden.num_weights({"params": parts}) == count


def test_buckets_are_exact_near_by_and_tell_earlier_from_later_frames():
    buckets = bucket_of_pairs(40, 32, 32)
    np.testing.assert_array_equal(buckets[10, 3:11], [7, 6, 5, 4, 3, 2, 1, 0])
    np.testing.assert_array_equal(buckets[10, 10:18], [0, 17, 18, 19, 20, 21, 22, 23])
    # Distances 8 to 31 share eight buckets, on a logarithmic scale; 32 and more have the last.
    np.testing.assert_array_equal(buckets[[8, 9, 12, 16, 31, 39], 0], [8, 8, 10, 12, 15, 15])
    assert buckets.max() == 31


def test_rotated_queries_and_keys_meet_at_their_frames_distance():
    query, key = (golden.normal(seed, 1, 1, 1, 8) for seed in (0, 1))
    query, key = (rotate(jnp.tile(x, (1, 6, 1, 1)))[0, :, 0] for x in (query, key))
    products = query @ key.T
    np.testing.assert_allclose(products[0, 2], products[3, 5], rtol=1e-5)
    assert not np.isclose(products[0, 2], products[0, 3])
    np.testing.assert_array_equal(
        rotate(golden.normal(0, 1, 1, 1, 8)), golden.normal(0, 1, 1, 1, 8)
    )


def test_times_are_embedded_sines_first_down_to_a_ten_thousandth():
    got = sines_first(jnp.array([1.0]), 4)[0]
    np.testing.assert_allclose(got, [np.sin(1), np.sin(1e-4), np.cos(1), np.cos(1e-4)], rtol=1e-5)


@pytest.mark.slow
def test_clips_of_a_batch_do_not_see_each_other(small):
    variables, apply, clip, times = small
    both = apply(variables, clip, times)
    assert both.shape == (2, 3, 4, 6, 1)
    alone = apply(variables, clip[1:], times[1:])
    np.testing.assert_allclose(both[1:], alone, atol=1e-5)


@pytest.mark.slow
def test_frames_see_each_other_and_times_matter(small):
    variables, apply, clip, times = small
    outputs = apply(variables, clip, times)
    changed = apply(variables, clip.at[:, 2].add(1), times)
    assert not np.allclose(outputs[:, 0], changed[:, 0], atol=1e-4)
    assert not np.allclose(outputs, apply(variables, clip, times + 1), atol=1e-4)
