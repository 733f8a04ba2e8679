import numpy as np
import pytest

from echodfkd_jax.errors import UserError
from echodfkd_jax.settings import InputSettings
from echodfkd_jax.training.batches import Shard
from echodfkd_jax.training.clip_input import ClipInput, known_clip
from echodfkd_jax.types import Clip


def clip(num_frames=20, fps=64.0, ef_percent=55.0):
    frames = np.repeat(np.arange(num_frames, dtype=np.uint8), 4).reshape(num_frames, 2, 2)
    nothing = np.zeros((0, 2, 2, 1), bool)
    return Clip("a", frames + 1, fps, ef_percent, 0.0, 0.0, -1, -1, np.zeros(0, int), nothing)


def clip_input(clips, *, window_frames=4, batch_size=2, **changes):
    settings = InputSettings(window_frames=window_frames, num_threads=0, **changes)
    options = {"fps": 32.0, "batch_size": batch_size, "seed": 0, "shard": Shard()}
    return ClipInput(clips, clips[:1], settings, **options)


def test_windows_are_at_the_rate_that_is_learnt():
    data = clip_input([clip(), clip(ef_percent=float("nan"))])
    batch = data.batch(0)
    assert batch["video"].shape == (2, 4, 2, 2, 1) and batch["still"].shape == (2, 2, 2, 1)
    # Of 64 frames a second every other one.
    np.testing.assert_array_equal(np.diff(batch["video"][:, :, 0, 0, 0].astype(int)), 2)
    assert sorted(batch["fraction"].tolist(), key=np.isnan) == [
        pytest.approx(0.55),
        pytest.approx(np.nan, nan_ok=True),
    ]
    assert batch["count"].tolist() == [4, 4]


def test_the_same_step_gives_the_same_batch_and_another_one_another():
    data, again = clip_input([clip()] * 8), clip_input([clip()] * 8)
    first, second = data.batch(0), data.batch(1)
    np.testing.assert_array_equal(again.batch(0)["video"], first["video"])
    assert np.any(first["video"] != second["video"]) or np.any(first["still"] != second["still"])


def test_past_the_end_of_a_clip_it_is_black():
    batch = clip_input([clip(num_frames=5)] * 2).batch(0)
    for video, count in zip(batch["video"], batch["count"]):
        assert 2 <= count < 4
        assert np.all(video[:count] > 0) and np.all(video[count:] == 0)


def test_validation_is_padded_with_weight_zero():
    (batch,) = clip_input([clip()] * 2).validation_batches()
    assert batch["weight"].tolist() == [1, 0]


def test_a_clip_of_unknown_rate_is_taken_as_it_is():
    assert len(known_clip(clip(fps=float("nan")), 32.0).indices) == 20


def test_a_clip_of_less_than_a_frame_is_an_error():
    with pytest.raises(UserError, match="clip a has 1 frames at 64 a second, less than one"):
        known_clip(clip(num_frames=1), 32.0)


@pytest.mark.parametrize(("field", "value"), [("source", "generator"), ("subsample", 2)])
def test_what_has_no_meaning_for_clips_without_masks(field, value):
    with pytest.raises(UserError, match=f"config.input.{field}="):
        clip_input([clip()] * 2, **{field: value})
