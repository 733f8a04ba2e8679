import numpy as np
import pytest

from echodfkd_jax.echoclip import scores

AXES = np.eye(3, dtype=np.float32)  # wall, nothing, left ventricle


def ejection_fraction(similarity, values, **options):
    """With unit vectors as prompts the similarities are the frames' coordinates."""
    similarity = np.asarray(similarity, np.float32)
    prompts = np.eye(similarity.shape[1], dtype=np.float32)
    return scores.ejection_fraction_percent(similarity, prompts, np.asarray(values), **options)


def test_ejection_fraction_of_a_table_worked_by_hand():
    # Values by rank: frame 1: 60 50 40 30, frame 2: 50 30 60 40; averages 55 40 50 35.
    similarity = [[0.1, 0.2, 0.3, 0.4], [0.2, 0.1, 0.9, 0.15]]
    values = [30, 40, 50, 60]
    similarity[1] = [0.5, 0.1, 0.9, 0.3]
    assert ejection_fraction(similarity, values, num_ranks=1) == 55
    assert ejection_fraction(similarity, values, num_ranks=2) == 40  # lower of 55 and 40
    assert ejection_fraction(similarity, values, num_ranks=3) == 50
    assert ejection_fraction(similarity, values, num_ranks=4) == 40  # 35 40 50 55
    assert ejection_fraction(similarity, values) == 40  # fewer than 40 prompts: all


def test_equally_similar_prompts_rank_in_their_order():
    assert ejection_fraction([[0.5, 0.5, 0.5]], [70, 20, 10], num_ranks=1) == 70
    assert ejection_fraction([[0.1, 0.5, 0.5]], [70, 20, 10], num_ranks=1) == 20


def test_forty_of_the_published_prompts_count():
    values = np.tile(np.arange(101), 2)
    similarity = -np.abs(values - 55.2)[None]  # nearest first: 55 55 56 56 54 54 57 57 ...
    # Forty ranks hold 46..65 twice each, but the mean over frames keeps the order of one frame.
    assert ejection_fraction(similarity, values) == 55


def test_ejection_fraction_without_frames_is_unknown():
    assert np.isnan(ejection_fraction(np.zeros((0, 4)), [1, 2, 3, 4]))


def test_erase_paints_black_and_keeps_the_rest():
    frames = np.array([[[10, 20], [30, 40]]], np.uint8)
    masks = np.array([[[True, False], [False, True]]])
    np.testing.assert_array_equal(scores.erase(frames, masks), [[[0, 20], [30, 0]]])


def test_dilation_grows_by_a_square_in_each_frame_alone():
    masks = np.zeros((2, 7, 7), bool)
    masks[0, 3, 3] = True
    grown = scores.dilate(masks)
    expected = np.zeros((7, 7), bool)
    expected[1:6, 1:6] = True
    np.testing.assert_array_equal(grown[0], expected)
    assert not grown[1].any()


def test_erasure_as_released():
    erased = np.array([[0.6, 0.0, 0.8], [0.0, 1.0, 0.0]], np.float32)
    # Frame 1: 0.6 + 0 - 0.8 = -0.2; frame 2: 1.
    assert scores.erasure_score_as_released(erased, AXES) == pytest.approx(0.4)


def test_the_dilated_erasure_takes_the_wall_alone_from_the_plain_one():
    erased = np.array([[0.6, 0.0, 0.8]], np.float32)
    dilated = np.array([[0.0, 0.8, 0.6]], np.float32)
    # 0.6 from the plain erasure, 0.8 - 0.6 from the dilated one.
    assert scores.erasure_score_dilated(erased, dilated, AXES) == pytest.approx(0.8)


def test_erasure_without_frames_is_unknown():
    assert np.isnan(scores.erasure_score_as_released(np.zeros((0, 3), np.float32), AXES))
