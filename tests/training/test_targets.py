import dataclasses

import numpy as np
import pytest

from echodfkd_jax.errors import UserError
from echodfkd_jax.training.input import DatasetInput
from echodfkd_jax.training.windows import target_of
from tests.training.test_input import Split, _clip, _settings


def test_reference_target_needs_every_frame():
    with pytest.raises(UserError, match="clip clip_3 has 2 of 10; use 'teacher'"):
        target_of(_clip(3), "reference")
    np.testing.assert_array_equal(
        target_of(_clip(3, frames=2), "reference"), np.full((2, 2, 2, 1), 255)
    )


def _tracings(frames, length):
    """Windows of three frames of a clip in which frames 1 and 9 are traced."""
    traced = dataclasses.replace(
        _clip(1, frames), reference_frames=np.array([1, length - 1]), teacher_mask=None
    )

    class Traced(Split):
        def __getitem__(self, index):
            return traced

    settings = _settings(target="tracings", window_frames=3)
    data = DatasetInput(Traced(8), Traced(2), settings, batch_size=2, seed=0)
    return [data.batch(step) for step in range(8)]


def test_every_window_of_a_traced_clip_has_a_tracing_and_only_tracings_count():
    for batch in _tracings(10, 10):
        for video, target, weights in zip(batch["video"], batch["target"], batch["frame_weights"]):
            numbers = video[:, 0, 0, 0] - 10  # Of the frames, see `_clip`.
            np.testing.assert_array_equal(weights, np.isin(numbers, (1, 9)))
            assert weights.sum() >= 1
            np.testing.assert_array_equal(target[:, 0, 0, 0], 255 * weights)


def test_a_short_clip_is_not_traced_again_where_it_is_continued():
    (weights,) = {tuple(w) for batch in _tracings(2, 2) for w in batch["frame_weights"].tolist()}
    assert weights == (0, 1, 0)


def test_a_clip_without_tracings_is_named():
    untraced = dataclasses.replace(
        _clip(3), reference_frames=np.array([], int), reference_masks=np.zeros((0, 2, 2, 1), bool)
    )
    with pytest.raises(UserError, match=r"'tracings', but clip clip_3 has none"):
        target_of(untraced, "tracings")


def test_structures_are_learnt_in_the_order_that_is_asked_for():
    both = np.stack([np.full((10, 2, 2), 7), np.full((10, 2, 2), 9)], -1).astype(np.uint8)
    clip = dataclasses.replace(
        _clip(3),
        teacher_mask=both,
        teacher_structures=("lv", "la"),
        reference_masks=both[:2] > 8,
        reference_structures=("lv", "la"),
    )
    assert target_of(clip, "teacher", ("lv", "la"))[0, 0, 0].tolist() == [7, 9]
    assert target_of(clip, "teacher")[0, 0, 0].tolist() == [7]
    assert target_of(clip, "tracings", ("lv", "la"))[1, 0, 0].tolist() == [0, 255]
    with pytest.raises(UserError, match=r"structures=\('lv', 'rv'\): the teacher of clip clip_3"):
        target_of(clip, "teacher", ("lv", "rv"))
