import numpy as np
import pytest

from echodfkd_jax.errors import UserError
from echodfkd_jax.evaluation import frontier

WEIGHTS = np.array([frontier.num_weights(*map(int, size)) for size in frontier.PUBLISHED_DICE])


@pytest.mark.parametrize(
    ("size", "expected"),
    [((1, 1), 5_701), ((1, 4), 37_021), ((2, 2), 91_633), ((3, 3), 611_185), ((4, 4), 3_361_657)],
)
def test_numbers_of_weights_are_the_published_ones(size, expected):
    assert frontier.num_weights(*size) == expected


def test_sizes_are_two_digits():
    assert frontier.parse_size("31") == (3, 1)
    for wrong in ("3", "51", "10", "3x1", "311"):
        with pytest.raises(UserError, match=rf"sizes has '{wrong}': expected blocks and layers"):
            frontier.parse_size(wrong)


def test_a_curve_is_found_again():
    true = frontier.SaturatingCurve(floor=0.08, scale=60.0, exponent=0.7)
    weights = WEIGHTS.astype(float)
    found = frontier.fit(weights, 1 - true.miss(weights))
    assert found.floor == pytest.approx(0.08, rel=1e-3)
    assert found.exponent == pytest.approx(0.7, rel=1e-3)
    np.testing.assert_allclose(found.miss(weights), true.miss(weights), rtol=1e-4)


def test_published_points_saturate_near_their_best():
    dice = np.array(list(frontier.PUBLISHED_DICE.values()))
    curve = frontier.fit(WEIGHTS.astype(float), dice)
    assert 0.910 < 1 - curve.floor < 0.930
    missed = np.log(curve.miss(WEIGHTS.astype(float))) - frontier.log_miss(dice)
    assert np.sqrt(np.mean(missed**2)) < 0.1


def test_three_students_are_too_few_for_three_parameters():
    weights = np.array([1e3, 1e4, 1e5, 1e6])
    assert frontier.fit(weights[:3], np.array([0.7, 0.8, 0.9])) is None
    assert frontier.fit(weights, np.array([0.7, 0.8, 0.9, np.nan])) is None


def test_a_perfect_dice_has_a_logarithm():
    np.testing.assert_allclose(frontier.log_miss(np.array([0.5, 1.0])), [np.log(0.5), np.log(1e-6)])
