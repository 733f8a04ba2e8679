import jax.numpy as jnp
import numpy as np
import pytest

from echodfkd_jax.errors import UserError
from echodfkd_jax.synthesis.diffusion import frames
from tests.synthesis.diffusion.golden import facts

RULES = facts("stitching_and_data_rules")


@pytest.mark.parametrize("case", RULES["resample"], ids=lambda case: f"{case['fps']}")
def test_published_frames_of_a_clip_of_another_rate(case):
    found = frames.resample(case["frames"], float(case["fps"]))
    assert len(found) == case["count"]
    np.testing.assert_array_equal(found, case["indices"])


def test_published_grey_values():
    signal = jnp.asarray(RULES["pixels"]["float_in"])
    np.testing.assert_array_equal(frames.to_grey(signal), RULES["pixels"]["uint8_out"])


def test_every_grey_value_comes_back():
    grey = jnp.arange(256, dtype=jnp.uint8)
    signal = frames.to_signal(grey)
    assert (float(signal[0]), float(signal[255])) == (-1.0, 0.9921875)
    np.testing.assert_array_equal(frames.to_grey(signal), grey)


@pytest.mark.parametrize("fps", [0.0, -1.0, float("nan"), float("inf")])
def test_a_rate_that_cannot_be(fps):
    with pytest.raises(UserError, match="frames per second: expected a number above 0"):
        frames.resample(10, fps)


@pytest.mark.parametrize(("published", "last"), [(False, 4), (True, 3)])
def test_which_starts_are_drawn(published, last):
    rng, indices = np.random.default_rng(0), np.arange(12)
    windows = [frames.window_of(rng, indices, 12, 8, published=published) for _ in range(200)]
    assert {int(window.indices[0]) for window in windows} == set(range(last + 1))
    assert all(window.count == 8 for window in windows)


def test_the_shift_shows_frames_between_and_may_lead_past_the_end():
    rng, indices = np.random.default_rng(0), frames.resample(33, 80.0)  # 0, 3, 5, ..., 30
    windows = [frames.window_of(rng, indices, 33, 13) for _ in range(50)]
    assert {int(window.indices[0]) for window in windows} == {0, 1, 2}
    assert {window.count for window in windows} == {13}
    shorter = [frames.window_of(rng, indices, 32, 13) for _ in range(50)]
    assert {(window.count, int(window.indices[-1])) for window in shorter} == {
        (13, 30),
        (13, 31),
        (12, 0),
    }


def test_a_short_clip_fills_the_beginning_of_its_window():
    window = frames.window_of(np.random.default_rng(0), np.arange(5), 5, 8)
    assert window.count == 5
    np.testing.assert_array_equal(window.indices, [0, 1, 2, 3, 4, 0, 0, 0])
