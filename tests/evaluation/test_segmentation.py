import numpy as np
import pytest

from echodfkd_jax.evaluation import segmentation


def masks(*rows):
    return np.array([rows], bool)


FULL = masks([1, 1], [1, 1])
EMPTY = masks([0, 0], [0, 0])


def test_half_overlapping_masks():
    predicted = masks([1, 1], [0, 0])
    reference = masks([0, 1], [0, 1])
    assert segmentation.dice(predicted, reference).tolist() == [0.5]
    assert segmentation.iou(predicted, reference).tolist() == [pytest.approx(1 / 3)]


def test_a_part_of_the_other():
    # 1 pixel of 4: Dice 2 * 1 / (1 + 4), IoU 1 / 4.
    corner = masks([1, 0], [0, 0])
    assert segmentation.dice(corner, FULL).tolist() == [0.4]
    assert segmentation.iou(corner, FULL).tolist() == [0.25]


def test_disjoint_masks_score_zero():
    assert segmentation.dice(masks([1, 0], [0, 0]), masks([0, 0], [0, 1])).tolist() == [0.0]


def test_two_empty_masks_agree_and_are_counted():
    assert segmentation.dice(EMPTY, EMPTY).tolist() == [1.0]
    assert segmentation.iou(EMPTY, EMPTY).tolist() == [1.0]
    assert segmentation.both_empty(EMPTY, EMPTY).tolist() == [True]


def test_one_empty_mask_scores_zero_and_is_not_counted():
    assert segmentation.dice(EMPTY, FULL).tolist() == [0.0]
    assert segmentation.dice(FULL, EMPTY).tolist() == [0.0]
    assert segmentation.both_empty(EMPTY, FULL).tolist() == [False]


def test_frames_are_scored_one_by_one():
    predicted = np.concatenate([FULL, EMPTY, FULL])
    reference = np.concatenate([FULL, FULL, EMPTY])
    assert segmentation.dice(predicted, reference).tolist() == [1.0, 0.0, 0.0]


def test_no_frames_give_no_scores():
    assert segmentation.dice(FULL[:0], FULL[:0]).shape == (0,)
