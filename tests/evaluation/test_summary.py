import math

import numpy as np
import pytest

from echodfkd_jax.evaluation import summary

CLIPS = [
    {"dice/student_vs_teacher": 0.8, "ef/recorded": 60.0, "empty_frames/student_vs_teacher": 2.0},
    {"dice/student_vs_teacher": math.nan, "ef/recorded": 50.0, "nothing": math.nan},
    {"dice/student_vs_teacher": 0.6, "ef/recorded": 40.0, "empty_frames/student_vs_teacher": 1.0},
]


def test_means_are_over_the_clips_that_have_the_metric():
    found = summary.summarise(CLIPS, num_samples=20)
    assert found["mean"]["dice/student_vs_teacher"] == pytest.approx(0.7)
    assert found["count"]["dice/student_vs_teacher"] == 2
    assert found["count"]["ef/recorded"] == 3


def test_counts_are_summed():
    found = summary.summarise(CLIPS, num_samples=20)
    assert found["total"] == {"empty_frames/student_vs_teacher": 3}
    assert "empty_frames/student_vs_teacher" not in found["mean"]


def test_metrics_that_no_clip_has_are_left_out():
    assert "nothing" not in summary.summarise(CLIPS, num_samples=20)["mean"]


def test_correlation_over_clips_that_have_both():
    clips = [{"a": float(i), "b": float(-i)} for i in range(4)] + [{"a": 9.0, "b": math.nan}]
    found = summary.correlate(clips, {"a_vs_b": ("a", "b")}, num_samples=50)
    assert found["a_vs_b"]["value"] == pytest.approx(-1)
    assert found["a_vs_b"]["count"] == 4


def test_two_clips_are_no_correlation():
    clips = [{"a": 1.0, "b": 2.0}, {"a": 2.0, "b": 1.0}]
    assert summary.correlate(clips, {"a_vs_b": ("a", "b")}, num_samples=50) == {}


def test_ratio_of_sums():
    part, whole = np.array([1.0, 3.0, np.nan]), np.array([2.0, 3.0, 9.0])
    entry = summary.ratio_entry(part, whole, num_samples=10)
    assert (entry["value"], entry["count"]) == (0.8, 2)
