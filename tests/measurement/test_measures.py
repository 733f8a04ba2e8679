import math

import numpy as np
import pytest

from echodfkd_jax.clips import inputs
from echodfkd_jax.measurement.beats import Beat
from echodfkd_jax.measurement.measures import KINDS, Measure, measure_clip
from echodfkd_jax.types import NamedMasks
from tests.measurement.drawn_hearts import Bullet, draw, draw_box, draw_wall

ALL = ("lv", "lv_myocardium", "la", "rv")
# At end-diastole, end-systole, and end-systole of a weaker beat; frames 0 to 3 are two beats.
ED = Bullet(half_width=16, straight=24, cap=30)
ES = Bullet(half_width=11, straight=24, cap=26, base=8)
WEAK = Bullet(half_width=13, straight=24, cap=28, base=4)
BEATS = (Beat(0, 1), Beat(2, 3))
LA_HEIGHTS, RV_HEIGHTS = (12, 20, 12, 16), (20, 15, 20, 20)


def heart(structures=ALL, **place):
    lv = [draw(shape, **place) for shape in (ED, ES, ED, WEAK)]
    drawn = {
        "lv": lv,
        "lv_myocardium": [draw_wall(ED, 6, 8, **place)] * 4,
        "la": [draw_box(height, 10, **place) for height in LA_HEIGHTS],
        "rv": [draw_box(height, 6, middle=-30, **place) for height in RV_HEIGHTS],
    }
    return NamedMasks(np.stack([np.stack(drawn[s]) for s in structures], axis=-1), structures)


@pytest.fixture(scope="module")
def found():
    return measure_clip(heart(), BEATS)


def volume(shape):
    """Half an ellipsoid of revolution on a cylinder."""
    cylinder = math.pi * shape.half_width**2 * (shape.straight - shape.base)
    return 2 / 3 * math.pi * shape.half_width**2 * shape.cap + cylinder


def test_volumes_and_ejection_fractions_of_both_beats(found):
    edv, esv, weak = map(volume, (ED, ES, WEAK))
    assert found["lv_edv_disks"].beats == pytest.approx((edv, edv), rel=0.03)
    assert found["lv_esv_disks"].beats == pytest.approx((esv, weak), rel=0.03)
    wanted = (100 * (1 - esv / edv), 100 * (1 - weak / edv))
    assert found["lv_ef_disks"].beats == pytest.approx(wanted, abs=1.5)
    by_length = [8 * s.area**2 / (3 * math.pi * s.length) for s in (ED, ES)]
    assert found["lv_edv_area_length"].beats[0] == pytest.approx(by_length[0], rel=0.03)
    assert found["lv_esv_area_length"].beats[0] == pytest.approx(by_length[1], rel=0.03)
    wanted = 100 * (1 - by_length[1] / by_length[0])
    assert found["lv_ef_area_length"].beats[0] == pytest.approx(wanted, abs=1.5)
    assert found["lv_edv_disks"].unit == "px3"


def test_what_is_measured_on_the_outline(found):
    assert found["lv_length_ed"].beats == pytest.approx((54, 54), rel=0.015)
    assert found["lv_length_es"].beats == pytest.approx((42, 48), rel=0.015)
    wanted = [100 * (shape.wall_length / ED.wall_length - 1) for shape in (ES, WEAK)]
    assert found["lv_strain"].beats == pytest.approx(wanted, abs=1)
    for name in ("mitral_excursion", "mitral_excursion_septal", "mitral_excursion_lateral"):
        assert found[name].beats == pytest.approx((8, 4), abs=0.4)
    assert found["lv_wall_septal"].beats == pytest.approx((6, 6), rel=0.06)
    assert found["lv_wall_lateral"].beats == pytest.approx((8, 8), rel=0.06)


def test_areas_of_the_other_chambers(found):
    assert found["la_area_ed"].beats == pytest.approx((240, 240), abs=4)
    assert found["la_area_es"].beats == pytest.approx((400, 320), abs=4)
    assert found["la_emptying"].beats == pytest.approx((40, 25), abs=1)
    assert found["rv_area_change"].beats == pytest.approx((25, 0), abs=1)


def test_mean_and_standard_deviation_are_over_the_beats_that_say_it():
    measure = Measure("mm", (2.0, 4.0, math.nan))
    assert measure.mean == 3
    assert measure.sd == pytest.approx(math.sqrt(2))


def test_one_beat_has_a_mean_and_no_deviation():
    found = measure_clip(heart(), BEATS[:1])["mitral_excursion"]
    assert found.mean == found.beats[0]
    assert math.isnan(found.sd)


def test_without_a_beat_nothing_is_measured():
    found = measure_clip(heart(("lv",)), ())
    assert list(found) == list(KINDS)
    assert all(m.beats == () and math.isnan(m.mean) and math.isnan(m.sd) for m in found.values())


def test_a_missing_structure_is_not_made_up():
    found = measure_clip(heart(("lv",)), BEATS)
    for name, kind in KINDS.items():
        assert np.isnan(found[name].beats).all() == (kind.structure != "lv"), name


def test_an_empty_structure_is_not_made_up():
    masks = heart()
    empty = measure_clip(masks._replace(masks=np.zeros_like(masks.masks)), BEATS)
    assert all(np.isnan(measure.beats).all() for measure in empty.values())


def test_a_spacing_makes_millimetres_and_millilitres(found):
    scaled = measure_clip(heart(), BEATS, 1.5)
    units = {0: "percent", 1: "mm", 2: "cm2", 3: "ml"}
    factors = {0: 1.0, 1: 1.5, 2: 1.5**2 / 100, 3: 1.5**3 / 1000}
    for name, kind in KINDS.items():
        assert scaled[name].unit == units[kind.power]
        assert scaled[name].mean == pytest.approx(factors[kind.power] * found[name].mean)


def test_no_side_is_named_where_it_is_in_doubt(found):
    doubted = measure_clip(heart(), BEATS, sides_known=False)
    for name in KINDS:
        sided = name.endswith(("septal", "lateral"))
        assert np.isnan(doubted[name].beats).all() == sided, name
    assert doubted["mitral_excursion"] == found["mitral_excursion"]


def test_a_mirrored_heart_has_its_sides_exchanged(found):
    masks = heart()
    mirrored = measure_clip(masks._replace(masks=masks.masks[:, :, ::-1]), BEATS)
    assert mirrored["lv_wall_septal"].mean == pytest.approx(found["lv_wall_lateral"].mean, abs=0.1)
    assert mirrored["lv_strain"].mean == pytest.approx(found["lv_strain"].mean, abs=0.1)


def test_a_leaning_heart_has_the_same_measures(found):
    leaning = measure_clip(heart(lean_degrees=25, foot=(75.0, 45.0)), BEATS)
    for name, kind in KINDS.items():
        if kind.structure not in ("la", "rv"):
            assert leaning[name].mean == pytest.approx(found[name].mean, rel=0.04, abs=0.3), name


def test_twice_the_resolution_has_the_same_percentages(found):
    double = np.kron(heart().masks, np.ones((1, 2, 2, 1), np.uint8))
    finer = measure_clip(NamedMasks(double, ALL), BEATS)
    for name, kind in KINDS.items():
        wanted = 2**kind.power * found[name].mean
        assert finer[name].mean == pytest.approx(wanted, rel=0.02, abs=0.3), name


def test_squeezed_masks_are_measured_in_square_pixels(found):
    """A frame twice as wide as high that was squeezed to a square: pixels of 1 x 2 mm."""
    masks = heart().masks
    squeezed = masks[:, :, ::2]
    fitted = inputs.Fitted(np.zeros((4, 112, 56), np.uint8), inputs.Box(0, 0, 112, 112), (1.0, 2.0))
    square = [
        inputs.with_square_pixels(np.ascontiguousarray(squeezed[..., i]), fitted) for i in range(4)
    ]
    named = NamedMasks(np.stack([mask for mask, _ in square], axis=-1), ALL)
    measured = measure_clip(named, BEATS, square[0][1])
    assert measured["mitral_excursion"].unit == "mm"
    for name, kind in KINDS.items():
        wanted = found[name].mean / (1, 1, 100, 1000)[kind.power]
        assert measured[name].mean == pytest.approx(wanted, rel=0.06, abs=0.6), name
