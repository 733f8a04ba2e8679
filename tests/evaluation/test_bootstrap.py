import math

import numpy as np
import pytest

from echodfkd_jax.evaluation import bootstrap

VALUES = np.array([0.1, 0.5, 0.6, 0.9, 0.2, 0.7])
OTHER = np.array([0.2, 0.4, 0.7, 0.8, 0.1, 0.9])


def test_same_seed_same_interval():
    one = bootstrap.interval_of_mean(VALUES, num_samples=200, seed=3)
    bootstrap.resamples.cache_clear()
    assert one == bootstrap.interval_of_mean(VALUES.copy(), num_samples=200, seed=3)
    assert one != bootstrap.interval_of_mean(VALUES, num_samples=200, seed=4)


def test_interval_of_two_clips_reaches_from_the_one_to_the_other():
    # A quarter of the samples is (0, 0), a quarter (1, 1).
    interval = bootstrap.interval_of_mean(np.array([0.0, 1.0]), num_samples=1000)
    assert interval == (0.0, 1.0)


def test_interval_is_as_wide_as_theory_says():
    values = np.random.default_rng(0).normal(10.0, 2.0, 400)
    low, high = bootstrap.interval_of_mean(values, num_samples=4000)
    half_width = 1.96 * values.std() / math.sqrt(400)
    assert (high - low) / 2 == pytest.approx(half_width, rel=0.1)
    assert low < values.mean() < high


def test_narrower_percentiles_give_a_narrower_interval():
    low, high = bootstrap.interval_of_mean(VALUES, num_samples=2000)
    inner_low, inner_high = bootstrap.interval_of_mean(
        VALUES, num_samples=2000, percentiles=(5.0, 95.0)
    )
    assert low < inner_low < inner_high < high


def test_equal_values_have_no_spread():
    assert bootstrap.interval_of_mean(np.full(4, 0.5), num_samples=50) == (0.5, 0.5)


def test_one_clip_says_nothing_about_the_spread():
    assert np.isnan(bootstrap.interval_of_mean(np.array([0.5]), num_samples=50)).all()


def test_ratio_weighs_clips_by_their_size():
    # 1 of 100 pixels and 1 of 1 pixel: a sample is 1/100, 2/101 or 1, never the mean 0.505.
    part, whole = np.array([1.0, 1.0]), np.array([100.0, 1.0])
    interval = bootstrap.interval_of_ratio(part, whole, num_samples=500, percentiles=(40.0, 60.0))
    assert interval == pytest.approx((2 / 101, 2 / 101))


def test_samples_without_a_whole_are_left_out():
    part, whole = np.array([0.0, 3.0]), np.array([0.0, 4.0])
    assert bootstrap.interval_of_ratio(part, whole, num_samples=100) == (0.75, 0.75)


def test_pearson_intervals_equal_a_plain_loop():
    samples = bootstrap.resamples(len(VALUES), 300, 0)
    loop = []
    for counts in samples:
        drawn = np.repeat(np.arange(len(VALUES)), counts.astype(int))
        if np.ptp(VALUES[drawn]) and np.ptp(OTHER[drawn]):
            loop.append(np.corrcoef(VALUES[drawn], OTHER[drawn])[0, 1])
    expected = np.percentile(loop, [2.5, 97.5])
    found = bootstrap.interval_of_pearson(VALUES, OTHER, num_samples=300)
    np.testing.assert_allclose(found, expected, atol=1e-9)


def test_pearson_of_a_constant_side_has_no_interval():
    interval = bootstrap.interval_of_pearson(VALUES, np.ones(6), num_samples=50)
    assert np.isnan(interval).all()


def test_pearson_of_two_clips_has_no_interval():
    interval = bootstrap.interval_of_pearson(VALUES[:2], OTHER[:2], num_samples=50)
    assert np.isnan(interval).all()
