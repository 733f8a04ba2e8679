import numpy as np
import pytest

from echodfkd_jax.errors import UserError
from echodfkd_jax.synthesis.diffusion.colouring import colouring, sinkhorn

MAP = np.repeat([0.0, 0.2, 0.5, 1.0], [40, 30, 20, 10])


def rng():
    return np.random.default_rng(42)


def test_a_plan_has_the_right_sums_and_goes_to_what_is_near():
    values = np.array([0.0, 1.0, 2.0])
    plan = sinkhorn((values[:, None] - values[::-1]) ** 2, 0.05)
    np.testing.assert_allclose(plan.sum(axis=0), 1 / 3, atol=1e-8)
    np.testing.assert_allclose(plan.sum(axis=1), 1 / 3, atol=1e-8)
    np.testing.assert_allclose(plan, np.eye(3)[::-1] / 3, atol=1e-6)


def test_the_plan_is_that_of_two_points_in_closed_form():
    # For costs [[0, c], [c, 0]] the diagonal is 1 / 2 / (1 + exp(-c / regularisation)).
    plan = sinkhorn(np.array([[0.0, 0.3], [0.3, 0.0]]), 0.1)
    np.testing.assert_allclose(plan[0, 0], 0.5 / (1 + np.exp(-3)), rtol=1e-7)


def test_a_picture_takes_the_mean_of_the_reference_and_keeps_its_order():
    reference = np.random.default_rng(0).beta(2, 6, 5000)
    moved = colouring(MAP, reference, rng())
    coloured = moved(MAP)
    # One hundred pixels of the map, 500 of the reference: both as they were drawn.
    assert coloured.mean() == pytest.approx(reference.mean(), abs=0.02)
    assert np.all(np.diff([coloured[0], coloured[50], coloured[80], coloured[95]]) > 0)
    np.testing.assert_array_equal(coloured[:40], coloured[0])


def test_less_regularisation_moves_more_of_the_contrast():
    reference = np.random.default_rng(0).uniform(size=5000)
    flat, sharp = (
        np.ptp(colouring(MAP, reference, rng(), regularisation=each)(MAP)) for each in (1.0, 0.02)
    )
    assert flat < 0.5 < sharp


def test_what_was_not_seen_stays_as_far_from_its_neighbour_as_it_was():
    moved = colouring(np.array([0.2, 0.6]), np.array([0.3, 0.5]), rng(), regularisation=0.01)
    shown = moved(np.array([0.2, 0.25, 0.55, 0.6, 1.0]))
    np.testing.assert_allclose(shown, [0.3, 0.35, 0.45, 0.5, 0.9], atol=1e-3)
    assert moved(np.array([-5.0]))[0] == 0


def test_the_same_generator_draws_the_same_pixels():
    reference = np.random.default_rng(0).uniform(size=5000)
    first, second = (colouring(MAP, reference, rng()) for _ in range(2))
    np.testing.assert_array_equal(first.colours, second.colours)


@pytest.mark.parametrize(
    ("picture", "options", "message"),
    [
        (np.array([]), {}, "picture to be coloured by is empty"),
        (np.array([0.0, 255.0]), {}, "picture to be coloured by is empty or not within 0 to 1"),
        (MAP, {"regularisation": 0.0}, "regularisation 0 of a colouring"),
        (MAP, {"regularisation": 1e-4}, "regularisation 0.0001 is too small for costs up to"),
    ],
)
def test_what_cannot_be_coloured_is_one_line(picture, options, message):
    with pytest.raises(UserError, match=message):
        colouring(picture, np.array([0.5]), rng(), **options)
