import numpy as np
import pytest

from echodfkd_jax.evaluation.clip_filter import ClipFilter
from tests.own_parts import DiscSplit


class Noise:
    """Clips of smooth noise: no two look alike."""

    def __init__(self, first, count):
        self._first, self._count = first, count

    def __len__(self):
        return self._count

    def __getitem__(self, index):
        clip = DiscSplit(1, "made")[0]
        return type(clip)(**{**vars(clip), "frames": pictures(self._first + index)[None]})


def pictures(seed):
    blocks = np.random.default_rng(seed).integers(0, 256, (7, 7)).astype(np.uint8)
    return np.kron(blocks, np.ones((16, 16), np.uint8))


@pytest.mark.slow
def test_copies_of_training_clips_are_rejected_and_others_are_kept():
    judge = ClipFilter(Noise(0, 8), Noise(100, 8))
    copies = np.stack([pictures(seed)[None] for seed in range(8)])
    found = judge(copies)
    assert not found.kept.any()
    np.testing.assert_array_equal(found.nearest, np.arange(8))
    others = np.stack([pictures(seed)[None] for seed in range(200, 208)])
    assert judge(others).kept.sum() >= 6
