import numpy as np
import pytest

from echodfkd_jax.errors import UserError
from echodfkd_jax.evaluation import neighbours


def features(seed, count, width=6):
    return np.random.default_rng(seed).normal(size=(count, width))


def test_nearest_are_those_of_all_pairs():
    generated, train = features(0, 600) + 50, features(1, 40) + 50
    found = neighbours.nearest(generated, train)
    pairs = np.linalg.norm(generated[:, None] - train[None], axis=-1)
    np.testing.assert_array_equal(found.nearest, pairs.argmin(axis=1))
    np.testing.assert_allclose(found.distance, pairs.min(axis=1))


def test_planted_copies_are_counted_and_fresh_clips_are_not_beyond_what_is_expected():
    train, held_out = features(0, 400), features(1, 400)
    fresh = neighbours.memorisation(features(2, 400), train, held_out)
    assert fresh.expected == pytest.approx(0.05)
    assert fresh.rate < 0.1
    copies = train[:100] + 1e-3
    half = neighbours.memorisation(np.concatenate([copies, features(2, 100)]), train, held_out)
    assert 0.5 <= half.rate < 0.6


def test_no_generated_clips_have_no_neighbours():
    found = neighbours.nearest(np.zeros((0, 2)), np.zeros((1, 2)))
    assert len(found.nearest) == len(found.distance) == 0


@pytest.mark.parametrize("train", [np.zeros((0, 6)), np.zeros((3, 5))])
def test_training_clips_that_cannot_be_compared(train):
    with pytest.raises(UserError, match=f"nearest of {len(train)} training clips by"):
        neighbours.nearest(features(0, 2), train)


def test_nothing_to_be_judged():
    with pytest.raises(UserError, match="memorisation of 0 generated clips"):
        neighbours.memorisation(features(0, 0), features(1, 3), features(2, 3))
