import json
import math
import pathlib

import numpy as np
import pytest

from echodfkd_jax.measurement.beats import Beat, beat_length, describe_beats, find_beats

GOLDEN = pathlib.Path(__file__).parents[1] / "testdata" / "phase_detection.json"
PEAKS = [case for case in json.loads(GOLDEN.read_text()) if "systolic_peaks" in case]


def cosine(num_frames, period, depth=200.0):
    return 1000 + depth * np.cos(2 * np.pi * np.arange(num_frames) / period)


def test_every_contraction_of_a_cosine():
    found = find_beats(cosine(100, 30))
    assert found.beats == (Beat(0, 15), Beat(30, 45), Beat(60, 75))
    assert found.length_frames == pytest.approx(30)
    assert found.periodicity == pytest.approx(1.0)
    assert found.whole_beat


@pytest.mark.parametrize("case", PEAKS, ids=lambda case: f"clip{case['clip']}")
def test_contractions_of_curves_with_known_ones(case):
    found = find_beats(np.array(case["area"]))
    frames = [beat.es_frame for beat in found.beats]
    # One that had begun before the clip is an end-systole, but no beat.
    peaks = case["systolic_peaks"][found.begun :]
    assert len(frames) == len(peaks)
    # A flat valley's peak is its middle there and its first frame here.
    np.testing.assert_allclose(frames, peaks, atol=1)


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
    assert found.beats == () and not found.whole_beat


def test_one_contraction_with_refilling_is_a_whole_beat():
    found = find_beats(cosine(31, 30))
    assert found.beats == (Beat(0, 15),)
    assert found.whole_beat


def test_a_contraction_that_began_before_the_clip_is_left_out():
    # Starts near the minimum: frames 14.. of a cosine of 30.
    found = find_beats(cosine(90, 30)[14:])
    assert [beat.es_frame for beat in found.beats] == [31, 61]


def heart(lengths_s, fps=50.0, *, start_s=0.0, systole_s=0.34, depth=490.0):
    """Area over time of beats that contract alike and rest for different times, and its EF."""
    pieces = []
    for length_s in lengths_s:
        phase_s = np.arange(round(length_s * fps)) / fps
        down = 0.5 - 0.5 * np.cos(np.pi * np.clip(phase_s / systole_s, 0, 1))
        up = 0.5 - 0.5 * np.cos(np.pi * np.clip((phase_s - systole_s) / 0.22, 0, 1))
        pieces.append(1000 - depth * (down - up))
    return np.concatenate(pieces)[round(start_s * fps) :]


def mean_ef(area, found):
    return np.mean([100 * (1 - area[beat.es_frame] / area[beat.ed_frame]) for beat in found.beats])


# Beats of atrial fibrillation; the autocorrelation of this curve knows one lag, or none.
@pytest.mark.parametrize(
    "lengths_s",
    [[0.6, 0.9, 0.62, 1.1, 0.6, 0.8], [0.58, 0.58, 1.3, 0.58, 0.58, 1.3], [0.6, 1.0, 0.7, 1.2]],
)
def test_the_rate_of_an_irregular_heart_is_that_of_its_beats(lengths_s):
    found = find_beats(heart(lengths_s), 50.0)
    between = np.mean(np.diff([0, *np.cumsum(lengths_s)])[: len(found.beats) - 1])
    assert len(found.beats) >= len(lengths_s) - 1
    assert found.rate_per_min == pytest.approx(60 / between, abs=3)
    assert found.irregular
    assert found.spread_per_min > 10
    assert found.periodicity >= 0.5


def test_a_regular_heart_is_not_called_irregular():
    area = heart([0.8, 0.82, 0.78, 0.8, 0.83]) + np.random.default_rng(0).normal(0, 8, 202)
    found = find_beats(area, 50.0)
    assert found.rate_per_min == pytest.approx(60 / 0.8, abs=3)
    assert not found.irregular


@pytest.mark.parametrize("frames_in", [4, 5, 7, 8, 10])
def test_a_contraction_under_way_at_the_first_frame_is_no_beat(frames_in):
    whole = heart([0.8, 0.8, 0.8, 0.8])
    area = whole[frames_in:]
    found = find_beats(area, 50.0)
    assert found.beats[0].es_frame > 40
    assert mean_ef(area, found) == pytest.approx(mean_ef(whole, find_beats(whole, 50.0)), abs=2)


@pytest.mark.parametrize("frames_in", [0, 1, 2])
def test_a_contraction_that_begins_with_the_clip_is_a_beat(frames_in):
    area = heart([0.8, 0.8, 0.8])[frames_in:]
    found = find_beats(area, 50.0)
    assert not found.begun
    assert found.beats[0].ed_frame <= 2
    assert mean_ef(area, found) == pytest.approx(49, abs=2)


@pytest.mark.parametrize("frames_left", [3, 8, 12, 15])
def test_a_contraction_that_the_clip_does_not_end_is_no_beat(frames_left):
    area = heart([0.8, 0.8, 0.8])[: 80 + frames_left]
    found = find_beats(area, 50.0)
    assert len(found.beats) == 2
    assert mean_ef(area, found) == pytest.approx(49, abs=2)


def test_the_only_contraction_had_begun():
    found = find_beats(heart([0.8, 0.2])[8:], 50.0)
    assert found.beats == () and found.begun


def two_rates(area, fps):
    """Every other frame of the second half is missing."""
    half = len(area) // 2
    kept = np.r_[:half, half : len(area) : 2]
    return area[kept], kept / fps, kept


def test_times_of_frames_count():
    plain = heart([0.7] * 6, fps=60.0)
    area, times_s, kept = two_rates(plain, 60.0)
    found, wanted = find_beats(area, times_s=times_s), find_beats(plain, 60.0)
    assert found.rate_per_min == pytest.approx(wanted.rate_per_min, abs=2)
    assert not found.irregular
    assert mean_ef(area, found) == pytest.approx(mean_ef(plain, wanted), abs=1)
    at = [(kept[beat.ed_frame], kept[beat.es_frame]) for beat in found.beats]
    np.testing.assert_allclose(at, wanted.beats, atol=2)


def test_even_times_are_a_special_case():
    area = heart([0.7, 0.7, 0.7])
    found = find_beats(area, times_s=np.arange(len(area)) / 50)
    wanted = find_beats(area, 50.0)
    assert found.beats == wanted.beats
    assert found.rate_per_min == pytest.approx(wanted.rate_per_min)
    assert found.length_frames == pytest.approx(wanted.length_frames)


def test_the_frame_rate_bounds_the_length():
    # At 10 frames a second a period of 30 frames is 3 s, longer than any beat.
    assert math.isnan(beat_length(cosine(100, 30), fps=10.0)[0])
    assert beat_length(cosine(100, 30), fps=50.0)[0] == 30


@pytest.mark.parametrize("times_s", [None, np.arange(100) ** 1.02 / 50])
def test_named_beats_are_described_as_found_ones_are(times_s):
    area = cosine(100, 30)
    found = find_beats(area, 50.0, times_s)
    assert describe_beats(area, found.beats, 50.0, times_s) == found


def test_named_beats_need_not_be_on_the_curves_extremes():
    area = cosine(100, 30)
    named = (Beat(2, 10), Beat(16, 29), Beat(62, 70))  # The second one rises.
    described = describe_beats(area, named, 50.0)
    assert described.beats == named
    assert 0 < described.rate_per_min < 200
    assert describe_beats(np.full(100, 7.0), named, 50.0).beats == named
    assert describe_beats(area, (), 50.0).beats == ()


def test_a_beat_may_be_named_in_a_clip_that_is_too_short_to_find_one():
    assert describe_beats(np.array([9, 8, 7.0]), (Beat(0, 2),)).beats == (Beat(0, 2),)
