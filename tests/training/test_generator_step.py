import functools
import itertools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from echodfkd_jax.networks.diffusion.latent_video import LatentVideo
from echodfkd_jax.training import generator_step

pytestmark = pytest.mark.slow  # The steps take a minute to compile.

MODEL = LatentVideo(
    widths=(4, 4),
    latent_channels=2,
    video_widths=(4,),
    attention=(False,),
    heads=(1,),
    layers=1,
    groups=2,
)
RECIPE = generator_step.Recipe(drop=0.5, seed=0)
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
    """Before the first step and after each of three, with its metrics."""
    found = [(generator_step.create_state(MODEL, OPTIMIZER, 0), {})]
    for _ in range(3):
        found.append(compiled()(found[-1][0], batch()))
    return found


@pytest.mark.parametrize("part", ["autoencoder", "video"])
def test_both_networks_learn_in_every_step(states, part):
    for (before, _), (after, _) in itertools.pairwise(states):
        pairs = zip(jax.tree.leaves(before.params[part]), jax.tree.leaves(after.params[part]))
        assert max(float(jnp.abs(new - old).max()) for old, new in pairs) > 1e-3


def test_the_auto_encoder_learns_from_its_own_loss_alone(states):
    """Other ejection fractions change what the video network is to find, and not its gradient."""
    other = compiled()(states[0][0], batch(fraction=np.full(4, 0.9, np.float32)))[0]
    ours = states[1][0]
    jax.tree.map(
        np.testing.assert_array_equal, ours.params["autoencoder"], other.params["autoencoder"]
    )
    changed = jax.tree.map(
        lambda one, two: bool(jnp.any(one != two)), ours.params["video"], other.params["video"]
    )
    assert any(jax.tree.leaves(changed))


def test_statistics_of_the_latents_begin_as_a_copy_and_then_follow_slowly(states):
    zeroth, first, second = (state.batch_stats["latents"] for state, _ in states[:3])
    assert np.all(first["std"] != zeroth["std"])
    np.testing.assert_allclose(second["std"], first["std"], rtol=0.1)
    assert np.all(second["std"] != first["std"])


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
    state = states[2][0]
    video = batch()["video"].copy()
    video[2, 3:], video[3, 2:] = 7, 250
    _, metrics = compiled()(state, batch(video=video))
    np.testing.assert_allclose(metrics["loss_sum"], states[3][1]["loss_sum"], rtol=1e-5)


def test_a_known_fraction_has_a_part_in_the_loss_and_an_unknown_one_has_not(states):
    state = states[2][0]
    other = compiled()(state, batch(fraction=np.array([0.9, 0.1, np.nan, 0.2], np.float32)))[1]
    assert other["loss_sum"] != states[3][1]["loss_sum"]
    unknown = np.full(4, np.nan, np.float32)
    assert np.isfinite(compiled()(state, batch(fraction=unknown))[1]["loss_sum"])


def test_validation_leaves_padding_out_and_draws_the_same_every_time(states):
    evaluate = jax.jit(
        functools.partial(generator_step.eval_step, model=MODEL, recipe=RECIPE, axis_name=None)
    )
    variables = states[3][0].variables
    half = evaluate(variables, batch(weight=np.array([1, 1, 0, 0], np.float32)))
    rest = evaluate(variables, batch(weight=np.array([0, 0, 1, 1], np.float32)))
    whole = evaluate(variables, batch(weight=np.ones(4, np.float32)))
    assert (half["count"], whole["count"]) == (2, 4)
    for name in ("loss_sum", "reconstruction_sum", "denoising_sum"):
        np.testing.assert_allclose(half[name] + rest[name], whole[name], rtol=1e-5)
    np.testing.assert_allclose(
        whole["reconstruction_sum"] + whole["denoising_sum"], whole["loss_sum"], rtol=1e-5
    )
