import jax
import jax.numpy as jnp
import numpy as np
import pytest

from echodfkd_jax.errors import UserError
from echodfkd_jax.synthesis.diffusion import predictions, samplers, schedules, stitching
from tests.synthesis.diffusion.golden import facts

RULES = facts("stitching_and_data_rules")["stitching"]
ROWS = RULES["batch_rows"]


def recorded_predictions(windows):
    """Window r predicts 100 r + j at its frame j; of one clip."""
    number, length = len(windows.starts), windows.length
    return jnp.asarray(100.0 * np.arange(number)[:, None] + np.arange(length))[..., None]


@pytest.mark.parametrize("case", RULES["cases"], ids=lambda case: f"{case['frames']}")
def test_windows_and_what_is_put_together_of_them(case):
    windows = stitching.plan(case["frames"], case["window"], case["overlap"])
    assert windows.num_frames == case["frames"]
    np.testing.assert_array_equal(windows.starts, case["starts"])
    np.testing.assert_array_equal(windows.supplier, case["supplied_by"])
    np.testing.assert_array_equal(windows.count, case["windows_per_frame"])
    rows = recorded_predictions(windows)
    for join in ("first_wins", "averaged"):
        np.testing.assert_allclose(getattr(stitching, join)(rows, windows)[0, :, 0], case[join])


@pytest.mark.parametrize("frames", RULES["published_window_count"])
def test_published_number_of_windows_and_frames(frames):
    for published in (True, False):
        windows = stitching.plan(int(frames), published=published)
        assert len(windows.starts) == RULES["published_window_count"][frames]
        assert windows.num_frames == RULES["published_total_frames"][frames]


def test_published_formula_is_too_short_for_other_windows():
    wrong = RULES["published_formula_with_window_32"]
    windows = stitching.plan(wrong["frames"], 32, 16, published=True)
    assert (len(windows.starts), windows.num_frames) == (wrong["windows_R"], wrong["total_NT"])
    assert stitching.plan(wrong["frames"], 32, 16).num_frames == wrong["frames"]


@pytest.mark.parametrize(("published", "rule"), [(True, "published"), (False, "correct")])
def test_whose_condition_each_row_gets(published, rule):
    windows = stitching.plan(192)
    conditions = jnp.arange(ROWS["batch"], dtype=jnp.float32)[:, None]
    rows = stitching.condition_rows(conditions, windows, published=published)
    np.testing.assert_array_equal(rows[:, 0], ROWS[f"ef_sample_of_row_{rule}"])


def test_rows_are_ordered_by_windows():
    windows = stitching.plan(192)
    clips = jnp.arange(ROWS["batch"], dtype=jnp.float32)[:, None] * 1000 + jnp.arange(192.0)
    rows = stitching.cut(clips, windows)
    np.testing.assert_array_equal(rows[:, 0] // 1000, ROWS["sample_of_row"])
    np.testing.assert_array_equal(rows[:, 0] % 1000, 32 * np.array(ROWS["window_of_row"]))
    wrong = np.array(ROWS["ef_sample_of_row_published"]) != np.array(ROWS["sample_of_row"])
    assert wrong.sum() == ROWS["rows_with_wrong_ef_published"]


@pytest.mark.parametrize("join", [stitching.first_wins, stitching.averaged])
def test_cutting_and_joining_gives_back_the_clips(join):
    windows = stitching.plan(20, 8, 3)
    clips = jax.random.normal(jax.random.key(0), (3, windows.num_frames, 2, 2, 4))
    np.testing.assert_allclose(join(stitching.cut(clips, windows), windows), clips, atol=1e-6)


def test_clips_beside_each_other_are_denoised_as_if_they_were_alone():
    windows, steps = stitching.plan(12, 8, 4), schedules.linear_flow(4)
    start = jax.random.normal(jax.random.key(0), (2, 12, 2, 2, 1))
    fractions = jnp.asarray([[0.2], [0.7]])

    def network(rows, time, condition):
        return rows * 0.5 + condition[:, None, None, None] * (1 + time)

    def sample(clips, conditions, join):
        rows = stitching.condition_rows(conditions, windows)
        whole = stitching.stitched(network, rows, windows, join=join)
        denoise = predictions.denoiser(whole, "flow", predictions.straight)
        return samplers.run(samplers.deterministic(denoise, steps), clips, steps)

    for join in (stitching.first_wins, stitching.averaged):
        both = jax.jit(sample, static_argnums=2)(start, fractions, join)
        alone = sample(start[1:], fractions[1:], join)
        np.testing.assert_allclose(both[1:], alone, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("numbers", [(0, 64, 32), (100, 32, 32), (100, 32, -1)])
def test_windows_that_cannot_be(numbers):
    with pytest.raises(UserError, match=f"^{numbers[0]} frames by windows of {numbers[1]} "):
        stitching.plan(*numbers)
