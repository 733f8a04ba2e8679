import math

import numpy as np
import pytest

from echodfkd_jax.measurement.beats import Beat
from echodfkd_jax.measurement.chambers import areas_px, change_percent, ed_and_es_px


def test_areas_are_those_of_the_ventricles_frames():
    areas = np.array([200.0, 210, 300, 400, 410, 300])
    assert ed_and_es_px(areas, Beat(0, 4)) == (200, 410)
    assert change_percent(410.0, 200.0) == pytest.approx(100 * 210 / 410)


def test_neighbouring_frames_count_too():
    areas = np.arange(40.0)
    areas[4] = 40  # One bad mask beside end-diastole.
    at_ed, at_es = ed_and_es_px(areas, Beat(5, 21))  # Two frames to either side.
    assert (at_ed, at_es) == (np.mean([3, 40, 5, 6, 7]), 21)


def test_a_chamber_that_grows_has_a_negative_change():
    assert change_percent(100.0, 120.0) == -20


def test_an_area_that_the_edge_cuts_is_not_known():
    masks = np.zeros((4, 40, 40), bool)
    masks[0, 10:20, 10:20] = True
    masks[1, 30:, 10:20] = True  # Lies along the lower edge.
    masks[2, 36:, 10:12] = True
    masks[2, 10:38, 10:20] = True  # Touches it.
    areas = areas_px(masks)
    assert (areas[0], areas[2]) == (100, 284)
    assert math.isnan(areas[1]) and math.isnan(areas[3])
    assert math.isnan(ed_and_es_px(areas, Beat(0, 1))[1])
