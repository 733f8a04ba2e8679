import math

import numpy as np
import pytest

from echodfkd_jax.evaluation.calibration import calibration_error, count_bins, reliability


def expected_calibration_error(mask, reference, **options):
    return calibration_error(count_bins(mask, reference, **options))


def test_sure_and_right_is_perfect():
    mask = np.array([[[0, 255], [255, 0]]], np.uint8)
    assert expected_calibration_error(mask, mask > 127) == 0.0


def test_sure_and_wrong_is_the_worst():
    mask = np.array([[[0, 255], [255, 0]]], np.uint8)
    assert expected_calibration_error(mask, mask < 127) == 1.0


def test_a_probability_that_is_right_as_often_as_it_says():
    # 51 / 255 = 0.2, and one pixel of five is inside.
    mask = np.full((1, 1, 5), 51, np.uint8)
    reference = np.array([[[True, False, False, False, False]]])
    assert expected_calibration_error(mask, reference) == pytest.approx(0.0)


def test_overconfidence_is_the_gap():
    # 204 / 255 = 0.8, but half of the pixels are inside: 0.3.
    mask = np.full((1, 1, 4), 204, np.uint8)
    reference = np.array([[[True, True, False, False]]])
    assert expected_calibration_error(mask, reference) == pytest.approx(0.3)


def test_errors_of_one_bin_cancel_and_of_two_bins_do_not():
    # 0.2 where all pixels are inside, 0.8 where none is: each is off by 0.8.
    mask = np.array([[[51, 204]]], np.uint8)
    reference = np.array([[[True, False]]])
    assert expected_calibration_error(mask, reference, num_bins=1) == pytest.approx(0.0)
    assert expected_calibration_error(mask, reference, num_bins=2) == pytest.approx(0.8)


def test_no_frames_give_nan():
    assert math.isnan(
        expected_calibration_error(np.zeros((0, 2, 2), np.uint8), np.zeros((0, 2, 2), bool))
    )


def test_reliability_is_probability_and_frequency_by_bin():
    # 51 / 255 = 0.2 in four pixels of which one is inside, 1.0 in one that is.
    mask = np.array([[[51, 51, 51, 51, 255]]], np.uint8)
    reference = np.array([[[True, False, False, False, True]]])
    found = reliability(count_bins(mask, reference, num_bins=2))
    assert found["probability"] == pytest.approx([0.2, 1.0])
    assert found["frequency"] == pytest.approx([0.25, 1.0])
    assert found["pixels"] == [4, 1]
    assert found["calibration_error"] == pytest.approx(0.05 * 4 / 5)


def test_a_bin_without_pixels_is_nan():
    found = reliability(count_bins(np.zeros((1, 1, 3), np.uint8), np.zeros((1, 1, 3), bool)))
    assert found["pixels"] == [3] + [0] * 14
    assert math.isnan(found["frequency"][1])


def test_counts_of_clips_are_added():
    masks = [np.full((1, 1, 4), value, np.uint8) for value in (51, 204)]
    inside = np.array([[[True, True, False, False]]])
    total = sum(count_bins(mask, inside, num_bins=1) for mask in masks)
    assert reliability(total)["pixels"] == [8]
    assert calibration_error(total) == pytest.approx(0.0)  # 0.3 too low, 0.3 too high.
