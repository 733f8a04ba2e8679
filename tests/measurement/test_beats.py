import json
import math
import pathlib

import numpy as np
import pytest

from echodfkd_jax.measurement.beats import Beat, beat_length, find_beats

GOLDEN = pathlib.Path(__file__).parents[1] / "testdata" / "phase_detection.json"
PEAKS = [case for case in json.loads(GOLDEN.read_text()) if "systolic_peaks" in case]


def cosine(num_frames, period, depth=200.0):
    return 1000 + depth * np.cos(2 * np.pi * np.arange(num_frames) / period)


def test_every_contraction_of_a_cosine():
    found = find_beats(cosine(100, 30))
    assert found.beats == (Beat(0, 15), Beat(30, 45), Beat(60, 75))
    assert found.length_frames == 30
    assert found.periodicity == pytest.approx(1.0)
    assert found.whole_beat


@pytest.mark.parametrize("case", PEAKS, ids=lambda case: f"clip{case['clip']}")
def test_contractions_of_curves_with_known_ones(case):
    frames = [beat.es_frame for beat in find_beats(np.array(case["area"])).beats]
    assert len(frames) == len(case["systolic_peaks"])
    # A flat valley's peak is its middle there and its first frame here.
    np.testing.assert_allclose(frames, case["systolic_peaks"], atol=1)


def test_a_notch_in_diastole_is_no_beat():
    phase = np.arange(120) % 40
    area = 1000 - 300 * np.exp(-(((phase - 12) / 4) ** 2)) - 60 * np.exp(-(((phase - 30) / 2) ** 2))
    assert [beat.es_frame for beat in find_beats(area).beats] == [12, 52, 92]


def test_an_irregular_heart():
    lengths = [30, 45, 30, 45]
    area = np.concatenate([cosine(length, length) for length in lengths])
    frames = [beat.es_frame for beat in find_beats(area).beats]
    np.testing.assert_allclose(frames, [15, 52, 90, 127], atol=1)


def test_noise_does_not_beat():
    assert find_beats(np.random.default_rng(0).normal(1000, 30, 100)).beats == ()


def test_noise_on_a_beat_changes_nothing_but_a_frame():
    noisy = cosine(100, 30) + np.random.default_rng(0).normal(0, 10, 100)
    frames = [beat.es_frame for beat in find_beats(noisy).beats]
    np.testing.assert_allclose(frames, [15, 45, 75], atol=3)


def test_a_flat_curve_does_not_beat():
    found = find_beats(np.full(60, 900.0))
    assert found.beats == () and not found.whole_beat and math.isnan(found.length_frames)


def test_an_empty_curve_does_not_beat():
    assert find_beats(np.zeros(0)).beats == ()


def test_a_contraction_without_refilling_is_no_whole_beat():
    # Down to the minimum at frame 15 and a fifth of the way up again.
    found = find_beats(cosine(20, 30))
    assert found.beats == () or not found.whole_beat


def test_one_contraction_with_refilling_is_a_whole_beat():
    found = find_beats(cosine(31, 30))
    assert found.beats == (Beat(0, 15),)
    assert found.whole_beat


def test_a_contraction_that_began_before_the_clip_is_left_out():
    # Starts near the minimum: frames 14.. of a cosine of 30.
    found = find_beats(cosine(90, 30)[14:])
    assert [beat.es_frame for beat in found.beats] == [31, 61]


def test_the_frame_rate_bounds_the_length():
    # At 10 frames a second a period of 30 frames is 3 s, longer than any beat.
    assert math.isnan(beat_length(cosine(100, 30), fps=10.0)[0])
    assert beat_length(cosine(100, 30), fps=50.0)[0] == 30
