import math

import numpy as np
import pytest

from echodfkd_jax.evaluation.correlation import pearson


def test_literal_value():
    # Deviations (-1, 0, 1) and (-1, 1, 0): 1 / sqrt(2 * 2).
    assert pearson(np.array([1.0, 2.0, 3.0]), np.array([1.0, 3.0, 2.0])) == pytest.approx(0.5)


def test_opposite_signals():
    assert pearson(np.array([1.0, 2.0, 4.0]), np.array([-1.0, -2.0, -4.0])) == pytest.approx(-1)


def test_a_constant_side_has_no_correlation():
    assert math.isnan(pearson(np.array([1.0, 2.0]), np.array([3.0, 3.0])))


def test_one_pair_has_no_correlation():
    assert math.isnan(pearson(np.array([1.0]), np.array([2.0])))
