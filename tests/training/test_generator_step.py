import functools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from echodfkd_jax.networks.diffusion.latent_video import LatentVideo
from echodfkd_jax.training import generator_step

MODEL = LatentVideo(
    widths=(4, 4), latent_channels=2, video_widths=(4,), heads=(1,), layers=1, groups=2
)
RECIPE = generator_step.Recipe(autoencoder_steps=2, drop=0.5, seed=0)
OPTIMIZER = optax.adam(1e-2)


def batch(**changes):
    rng = np.random.default_rng(0)
    video = rng.integers(0, 256, (4, 4, 16, 16, 1)).astype(np.uint8)
    made = {
        "video": video,
        "still": video[:, 1],
        "count": np.array([4, 4, 3, 2], np.int32),
        "fraction": np.array([0.3, 0.6, np.nan, 0.5], np.float32),
    }
    return made | changes


@functools.cache
def compiled():
    learn = functools.partial(
        generator_step.train_step,
        model=MODEL,
        optimizer=OPTIMIZER,
        recipe=RECIPE,
        axis_name=None,
    )
    return jax.jit(learn)


@pytest.fixture(scope="module")
def states():
    """Of the first four steps: two of the auto-encoder, two of the video network."""
    found = [(generator_step.create_state(MODEL, OPTIMIZER, 0), {})]
    for _ in range(4):
        found.append(compiled()(found[-1][0], batch()))
    return found


def moved(before, after, part):
    return [
        float(jnp.abs(new - old).max())
        for old, new in zip(
            jax.tree.leaves(before.params[part]), jax.tree.leaves(after.params[part])
        )
    ]


def test_the_auto_encoder_learns_first_and_the_video_network_then(states):
    phases = [("autoencoder", "video")] * 2 + [("video", "autoencoder")] * 2
    for (before, _), (after, _), (learning, waiting) in zip(states, states[1:], phases):
        assert max(moved(before, after, learning)) > 1e-3
        assert max(moved(before, after, waiting)) == 0


def test_statistics_of_the_latents_stand_still_once_clips_are_learnt(states):
    statistics = [state.batch_stats["latents"] for state, _ in states]
    assert np.all(statistics[1]["std"] != 1)  # The first step copies.
    assert np.any(statistics[2]["std"] != statistics[1]["std"])
    for name in ("mean", "std"):
        np.testing.assert_array_equal(statistics[4][name], statistics[2][name])


def test_the_running_average_begins_as_a_copy_and_then_lags(states):
    first, second = states[1][0], states[2][0]
    jax.tree.map(np.testing.assert_array_equal, first.batch_stats["averaged"], first.params)
    averaged = second.batch_stats["averaged"]["autoencoder"]
    for old, lagging, new in zip(
        *map(
            jax.tree.leaves,
            (first.params["autoencoder"], averaged, second.params["autoencoder"]),
        )
    ):
        # The second update keeps 2 / 11 of the average.
        np.testing.assert_allclose(lagging, new + 2 / 11 * (old - new), atol=1e-6)


def test_metrics_are_finite_sums_over_the_batch(states):
    for _, metrics in states[1:]:
        assert metrics["count"] == 4 and metrics["finite"] == 1
        assert metrics["loss_sum"] > 0


def test_what_fills_a_window_is_not_learnt(states):
    state = states[3][0]
    video = batch()["video"].copy()
    video[2, 3:], video[3, 2:] = 7, 250
    _, metrics = compiled()(state, batch(video=video))
    np.testing.assert_allclose(metrics["loss_sum"], states[4][1]["loss_sum"], rtol=1e-5)


def test_a_known_fraction_has_a_part_in_the_loss_and_an_unknown_one_has_not(states):
    state = states[3][0]
    other = compiled()(state, batch(fraction=np.array([0.9, 0.1, np.nan, 0.2], np.float32)))[1]
    assert other["loss_sum"] != states[4][1]["loss_sum"]
    unknown = np.full(4, np.nan, np.float32)
    assert np.isfinite(compiled()(state, batch(fraction=unknown))[1]["loss_sum"])


def test_validation_leaves_padding_out_and_draws_the_same_every_time(states):
    evaluate = jax.jit(
        functools.partial(generator_step.eval_step, model=MODEL, recipe=RECIPE, axis_name=None)
    )
    variables = states[4][0].variables
    half = evaluate(variables, batch(weight=np.array([1, 1, 0, 0], np.float32)))
    rest = evaluate(variables, batch(weight=np.array([0, 0, 1, 1], np.float32)))
    whole = evaluate(variables, batch(weight=np.ones(4, np.float32)))
    assert (half["count"], whole["count"]) == (2, 4)
    for name in ("loss_sum", "reconstruction_sum", "denoising_sum"):
        np.testing.assert_allclose(half[name] + rest[name], whole[name], rtol=1e-5)
    np.testing.assert_allclose(
        whole["reconstruction_sum"] + whole["denoising_sum"], whole["loss_sum"], rtol=1e-5
    )
