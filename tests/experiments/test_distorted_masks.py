import numpy as np
import pytest

from echodfkd_jax.evaluation import segmentation
from experiments import distorted_masks
from experiments.distorted_masks import KINDS, Heart, distort


def heart(num_frames=6):
    """A ventricle that shrinks, an atrium below it, a wall around it, a right ventricle beside."""
    y, x = np.mgrid[:112, :112]
    labels = np.zeros((num_frames, 112, 112), np.uint8)
    for number in range(num_frames):
        size = 1 - 0.05 * number
        radius = np.hypot((x - 60) / (20 * size), (y - 50) / (32 * size))
        labels[number, (np.hypot((x - 60) / 20, (y - 96) / 12) < 1)] = 3
        labels[number, (np.hypot((x - 20) / 12, (y - 60) / 20) < 1)] = 4
        labels[number, radius < 1.25] = 2
        labels[number, radius < 1] = 1
    return Heart(labels == 1, labels, np.roll(labels == 1, 25, axis=2))


@pytest.mark.parametrize("kind", [kind for kind, _ in KINDS], ids=lambda kind: kind.__name__)
def test_every_kind_makes_outlines_worse_and_repeats_by_its_seed(kind):
    made = heart()
    dice = []
    for seed in range(6):
        found = kind(np.random.default_rng(seed), made)
        assert found.shape == made.masks.shape and found.dtype == bool
        np.testing.assert_array_equal(found, kind(np.random.default_rng(seed), made))
        dice.append(segmentation.dice(found, made.masks).mean())
    assert min(dice) < 0.97
    assert np.ptp(dice) > 0.01 or max(dice) < 0.3


def test_an_outline_leaks_into_what_is_beside_it_and_loses_nothing():
    made = heart()
    for seed in range(8):
        found = distorted_masks.leaking(np.random.default_rng(seed), made)
        assert found[made.masks].all()


def test_a_cut_outline_gains_nothing():
    made = heart()
    found = distorted_masks.cut(np.random.default_rng(1), made)
    assert not found[~made.masks].any()


def test_growing_keeps_the_distance():
    made = heart(1)
    grown = next(
        found
        for found in (
            distorted_masks.grown_or_shrunk(np.random.default_rng(s), made) for s in range(20)
        )
        if found.sum() > made.masks.sum()
    )
    # Wider by as much on the left as on the right.
    before, after = (np.flatnonzero(masks[0, 50]) for masks in (made.masks, grown))
    assert before[0] - after[0] == after[-1] - before[-1] > 0


def test_nothing_can_be_distorted_too():
    made = heart()
    empty = made._replace(masks=np.zeros_like(made.masks))
    for kind, _ in KINDS:
        assert kind(np.random.default_rng(0), empty).shape == made.masks.shape


def test_all_kinds_come_and_some_clips_are_distorted_in_a_part_of_their_frames():
    made, random = heart(), np.random.default_rng(0)
    names, partly = set(), 0
    for _ in range(150):
        name, found = distort(random, made)
        names.add(name)
        same = (found == made.masks).all(axis=(1, 2))
        partly += 0 < same.sum() < len(same)
    assert names == {kind.__name__ for kind, _ in KINDS}
    assert 5 < partly < 75
