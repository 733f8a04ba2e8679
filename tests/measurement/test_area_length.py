import math

import pytest

from echodfkd_jax.measurement.area_length import volume_px3


def test_an_ellipsoid_and_half_of_one_are_exact():
    whole = volume_px3(math.pi * 40 * 20, 80.0)
    assert whole == pytest.approx(4 / 3 * math.pi * 40 * 20**2)
    half = volume_px3(math.pi / 2 * 40 * 20, 40.0)
    assert half == pytest.approx(whole / 2)
