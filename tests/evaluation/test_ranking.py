import numpy as np

from echodfkd_jax.evaluation.ranking import best_median_worst


def test_best_median_and_worst():
    scores = np.array([0.1, 0.9, 0.5, 0.3, 0.7])
    assert best_median_worst(scores, 1) == [(1, "best"), (2, "median"), (0, "worst")]


def test_few_clips_are_all_shown_once():
    picked = best_median_worst(np.array([0.2, 0.8, 0.4, 0.6]), 3)
    assert picked == [(1, "best"), (3, "best"), (2, "median"), (0, "worst")]


def test_a_clip_without_a_score_is_worst():
    assert best_median_worst(np.array([np.nan, 0.1, 0.2, 0.3]), 1)[-1] == (0, "worst")


def test_equal_scores_keep_their_order():
    assert [index for index, _ in best_median_worst(np.zeros(3), 1)] == [0, 1, 2]


def test_no_clips():
    assert best_median_worst(np.zeros(0), 2) == []
