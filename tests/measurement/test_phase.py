import json
import pathlib

import numpy as np
import pytest

from echodfkd_jax.measurement import phase

GOLDEN = pathlib.Path(__file__).parents[1] / "testdata" / "phase_detection.json"
CASES = [case for case in json.loads(GOLDEN.read_text()) if "reference_frame" in case]


@pytest.mark.parametrize(
    "case", CASES, ids=lambda case: f"{case['clip']}-{case['reference_frame']}"
)
def test_the_published_rule(case):
    area = np.array(case["area"])
    assert phase.estimate_es(area, case["reference_frame"]) == case["es"]
    assert phase.estimate_ed(area, case["reference_frame"]) == case["ed"]


def test_all_golden_cases_are_there():
    assert len(CASES) == 63


def test_area_counts_pixels_above_25():
    mask = np.array([[[25, 26], [0, 255]], [[0, 0], [0, 0]]], np.uint8)
    assert phase.area_px(mask).tolist() == [2, 0]


# Two beats: median 5, blocks below it are frames 2..4 and 8..10.
TWO_BEATS = np.array([9, 9, 2, 1, 2, 9, 9, 9, 3, 2, 3, 9, 5])


def test_the_reference_chooses_the_beat():
    assert phase.estimate_es(TWO_BEATS, 0) == 3
    assert phase.estimate_es(TWO_BEATS, 12) == 9


def test_of_two_blocks_equally_near_the_earlier_is_taken():
    assert phase.estimate_es(TWO_BEATS, 6) == 3  # Frame 4 and frame 8 are both two away.
    assert phase.estimate_es(TWO_BEATS, 7) == 9


def test_of_equal_areas_in_a_block_the_earliest_is_taken():
    assert phase.estimate_es(np.array([9, 9, 9, 2, 1, 1, 1, 9, 9]), 6) == 4


def test_blocks_lie_strictly_below_the_median():
    # Median 1: frame 2 alone is below it. Were 1 <= 1 enough, frames 0..2 and 4 would be blocks,
    # and reference 5 would take frame 4.
    assert phase.estimate_es(np.array([1, 1, 0, 5, 1, 7]), 5) == 2


def test_without_anything_below_the_median_the_median_itself_is_low():
    area = np.array([4, 1, 1, 1, 4, 1, 1, 1])
    assert phase.estimate_es(area, 7) == 5


def test_a_flat_clip_gives_its_first_frame():
    assert phase.estimate_es(np.full(6, 7), 5) == 0
    assert phase.estimate_ed(np.full(6, 7), 5) == 0


def test_ed_is_the_largest_of_the_high_block():
    assert phase.estimate_ed(np.array([1, 1, 8, 9, 8, 1, 1]), 0) == 3


def test_extreme_frames_are_the_earliest_of_equals():
    assert phase.extreme_frames(np.array([3, 7, 1, 7, 1])) == (1, 2)


def test_a_signal_is_at_no_distance_from_itself():
    for case in CASES:
        area = np.array(case["area"])
        ed, es = phase.extreme_frames(area)
        assert (phase.estimate_ed(area, ed), phase.estimate_es(area, es)) == (ed, es)


def test_z_score():
    assert phase.z_score(np.array([1.0, 3.0])).tolist() == [-1.0, 1.0]
    assert phase.z_score(np.array([2.0, 2.0])).tolist() == [0.0, 0.0]
