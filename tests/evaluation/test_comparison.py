import math

import numpy as np
import pytest

from echodfkd_jax.evaluation.comparison import Candidate, Comparison, differs

RECORDED = (30.0, 45.0, 60.0, 70.0, 35.0, 55.0)


def candidate(label, dice, ef=(), **changes):
    """An evaluation with this Dice and EF by disks of every clip."""
    per_clip = [
        {"name": f"clip_{i}", "num_frames": 10, "fps": 50.0, "dice/student_vs_reference": value}
        for i, value in enumerate(dice)
    ]
    for clip, recorded, value in zip(per_clip, RECORDED, ef):
        clip |= {"ef/recorded": recorded, "ef_disks/student": value}
    metrics = {
        "name": "test",
        "models": {"student": f"student-{label}"},
        "num_weights": 1000,
        "structures": ["lv"],
        "ranked_by": "dice/student_vs_reference",
        "mean": {"dice/student_vs_reference": 0.0, "dice/teacher_vs_reference": 0.0},
        "correlation": {"ef_disks/student_vs_recorded": {}} if ef else {},
        "per_clip": per_clip,
        "tables": {
            "rows": [
                ["mean", "dice/{}_vs_reference", "Dice", 3],
                ["correlation", "ef_disks/{}_vs_recorded", "r", 2],
                ["mean", "nothing/{}", "nothing", 1],
            ]
        },
    }
    return Candidate(label, f"runs/{label}", metrics | changes)


def compared(*candidates):
    return Comparison(candidates, num_samples=400)


def test_a_difference_is_paired():
    # Clips differ a lot, the two students by the same everywhere.
    dice = np.array([0.2, 0.5, 0.7, 0.9, 0.4, 0.8])
    (row,) = compared(candidate("a", dice), candidate("b", dice + 0.01)).rows()
    value, (low, high) = row.differences[0]["value"], row.differences[0]["ci95"]
    assert value == pytest.approx(0.01) and low == pytest.approx(0.01) == high
    assert differs(row.differences[0])
    wide = row.values[0]["ci95"]
    assert wide[1] - wide[0] > 0.3


def test_a_difference_that_may_be_nothing_is_not_marked():
    rows = compared(candidate("a", [0.5, 0.6, 0.7]), candidate("b", [0.6, 0.5, 0.7])).rows()
    assert rows[0].differences[0]["value"] == pytest.approx(0)
    assert not differs(rows[0].differences[0])


def test_clips_are_put_together_by_name_whatever_their_order():
    one, other = candidate("a", [0.1, 0.2, 0.3]), candidate("b", [0.1, 0.2, 0.3])
    other.metrics["per_clip"].reverse()
    (row,) = compared(one, other).rows()
    assert row.differences[0]["ci95"] == (0.0, 0.0)


def test_a_clip_that_one_of_them_lacks_counts_for_none():
    one, other = candidate("a", [0.1, 0.2, 0.9]), candidate("b", [0.2, 0.3, None])
    (row,) = compared(one, other).rows()
    assert [value["count"] for value in row.values] == [2, 2]
    assert row.values[0]["value"] == pytest.approx(0.15)
    assert compared(one, other).most_different(5) == [0, 1]


def test_correlations_are_compared_on_the_same_samples():
    exact, noisy = RECORDED, (40.0, 30.0, 65.0, 50.0, 45.0, 52.0)
    dice = [0.9] * 6
    one, other = candidate("a", dice, noisy), candidate("b", dice, exact)
    row = compared(one, other).rows()[1]
    assert row.values[1]["value"] == pytest.approx(1)
    r = np.corrcoef(RECORDED, noisy)[0, 1]
    assert row.values[0]["value"] == pytest.approx(r)
    assert row.differences[0]["value"] == pytest.approx(1 - r)
    low, high = row.values[0]["ci95"]
    assert row.differences[0]["ci95"] == pytest.approx((1 - high, 1 - low))


def test_the_clips_on_which_they_differ_most_come_first():
    one = candidate("a", [0.9, 0.9, 0.9, 0.9])
    others = candidate("b", [0.9, 0.5, 0.9, 0.8]), candidate("c", [0.8, 0.9, 0.2, 0.85])
    assert compared(one, *others).most_different(3) == [2, 1, 0]


def test_subsets_are_those_of_the_recorded_ejection_fraction():
    one = candidate("a", [0.1, 0.2, 0.3, 0.4, 0.5, 0.6], RECORDED)
    other = candidate("b", [0.2, 0.2, 0.3, 0.4, 0.7, 0.6], RECORDED)
    found = {subset.name: rows[0] for subset, rows in compared(one, other).subsets()}
    low = found["EF recorded below 40 %"]
    assert low.values[0]["value"] == pytest.approx(0.3)
    assert low.differences[0]["value"] == pytest.approx(0.15)
    assert found["EF recorded 50 or more %"].differences[0]["value"] == 0


def test_the_file_has_every_number_of_the_student_and_no_other():
    found = compared(candidate("a", [0.1, 0.2]), candidate("b", [0.2, 0.2])).to_json()
    assert [number["metric"] for number in found["numbers"]] == ["dice/student_vs_reference"]
    assert found["most_different"] == ["clip_0", "clip_1"]
    assert [c["student"] for c in found["candidates"]] == ["student-a", "student-b"]


def test_a_number_that_nobody_has_is_left_out():
    one, other = candidate("a", [math.nan] * 2), candidate("b", [0.1, 0.2])
    assert compared(one, other).rows() == []
