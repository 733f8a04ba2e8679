import pytest

from echodfkd_jax.measurement.excursion import excursion_px
from echodfkd_jax.measurement.outline import trace
from tests.measurement.drawn_hearts import Bullet, draw, points, soft

ED = Bullet(half_width=15, straight=20, cap=40)


@pytest.mark.parametrize("lean", [0, -30, 30])
@pytest.mark.parametrize("way", [0.0, 4.0, 11.5])
def test_the_annulus_moves_towards_the_apex(lean, way):
    es = Bullet(half_width=12, straight=20, cap=40, base=way)
    found = excursion_px(*(trace(draw(shape, lean_degrees=lean)) for shape in (ED, es)))
    assert found == pytest.approx((way, way, way), abs=0.4)


def test_each_hinge_has_its_own_way():
    along, across = points()
    tilted = soft(ED.inside(along, across) & (along > 6 - 0.2 * across))
    found = excursion_px(trace(draw(ED)), trace(tilted))
    assert found == pytest.approx((6, 9, 3), abs=0.5)


def test_away_from_the_apex_is_negative():
    low = Bullet(half_width=15, straight=20, cap=40, base=-3)
    assert excursion_px(trace(draw(ED)), trace(draw(low))).ring == pytest.approx(-3, abs=0.3)
