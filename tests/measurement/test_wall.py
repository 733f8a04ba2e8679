import math

import numpy as np
import pytest

from echodfkd_jax.measurement.outline import trace
from echodfkd_jax.measurement.wall import area_px, thickness_px
from tests.measurement.drawn_hearts import Bullet, draw, draw_wall

LV = Bullet(half_width=15, straight=36, cap=24)


def measured(left, right, shape=LV, **place):
    muscle = draw_wall(shape, left, right, **place) > 127
    return thickness_px(muscle, trace(draw(shape, **place)))


@pytest.mark.parametrize("lean", [0, -30, 20])
def test_the_thickness_of_either_side(lean):
    assert measured(5, 9, lean_degrees=lean) == pytest.approx((5, 9), rel=0.05)


def test_a_thickened_wall_is_thicker_by_as_much():
    thin, thick = measured(5, 5), measured(8, 8)
    assert np.subtract(thick, thin) == pytest.approx(3, abs=0.25)


def test_it_is_measured_across_a_wall_that_leans_inwards():
    # Half an ellipse whose walls approach each other towards the apex.
    shape = Bullet(half_width=20, cap=56)
    left, right = measured(6, 6, shape)
    assert left == pytest.approx(right, abs=0.1)
    assert left == pytest.approx(6, rel=0.08)


def test_where_there_is_no_wall_nothing_is_said():
    muscle = draw_wall(LV, 5, 9) > 127
    muscle[:, 56:] = False
    left, right = thickness_px(muscle, trace(draw(LV)))
    assert left == pytest.approx(5, rel=0.05)
    assert math.isnan(right)


def test_a_wall_that_the_edge_cuts_has_no_thickness():
    foot = (85.5, 90.5)  # The right wall reaches beyond column 111.
    left, right = measured(5, 9, foot=foot)
    assert left == pytest.approx(5, rel=0.05)
    assert math.isnan(right)


def test_the_area_is_that_of_its_pixels():
    muscle = draw_wall(LV, 5, 5)
    outer = Bullet(half_width=20, straight=36, cap=29)
    assert area_px(muscle > 127) == pytest.approx(outer.area - LV.area, rel=0.02)
    assert math.isnan(area_px(np.zeros((112, 112), bool)))
    assert math.isnan(area_px(draw_wall(LV, 5, 9, foot=(60.0, 90.0), lean_degrees=30) > 127))
