import pytest

from echodfkd_jax.measurement.outline import trace
from echodfkd_jax.measurement.strain import longitudinal_percent
from tests.measurement.drawn_hearts import Bullet, draw

ED = Bullet(half_width=18, cap=56)


@pytest.mark.parametrize("lean", [0, -25, 35])
def test_the_wall_shortens_as_much_as_it_does(lean):
    smaller = Bullet(half_width=18 * 0.8, cap=56 * 0.8)
    ed, es = (trace(draw(shape, lean_degrees=lean)) for shape in (ED, smaller))
    assert longitudinal_percent(ed, es) == pytest.approx(-20, abs=0.8)
    assert longitudinal_percent(ed, ed) == 0


def test_narrowing_alone_shortens_little():
    narrow = Bullet(half_width=9, cap=56)
    ed, es = trace(draw(ED)), trace(draw(narrow))
    wanted = 100 * (narrow.wall_length / ED.wall_length - 1)
    assert longitudinal_percent(ed, es) == pytest.approx(wanted, abs=1)


def test_twice_the_resolution_is_the_same_strain():
    def strain(scale):
        shapes = (Bullet(18 * scale, 0, 56 * scale), Bullet(12 * scale, 0, 46 * scale))
        place = {"foot": (85.0 * scale, 56.0 * scale), "size": 112 * scale}
        return longitudinal_percent(*(trace(draw(shape, **place)) for shape in shapes))

    assert strain(1) == pytest.approx(strain(2), abs=0.4)
