import functools

import jax
import jax.numpy as jnp
import numpy as np

from echodfkd_jax.synthesis.diffusion import predictions, sampling, schedules, stitching

TABLE = schedules.zero_terminal_snr(schedules.linear_alphas_cumprod())
LEVELS = predictions.variance_preserving(TABLE)
WINDOWS = stitching.plan(10, 6, 2)


def knows_the_answer(rows, times, answers):
    """Predicts the velocity of clips that are as grey as their condition says."""
    level = LEVELS(times[:, None, None, None, None])
    clean = jnp.broadcast_to(answers[:, None, None, None, None], rows.shape)
    noise = (rows - level.signal * clean) / level.noise
    return predictions.target_of("v", clean, noise, level)


@functools.partial(jax.jit, static_argnames="network")
def sample(answers, keys, network=knows_the_answer):
    return sampling.sample_clips(
        network,
        answers,
        keys,
        WINDOWS,
        (14, 14, 2),
        alphas_cumprod=TABLE,
        steps=schedules.trailing(TABLE, 4),
    )


def test_every_clip_ends_at_what_its_own_condition_says():
    answers = jnp.asarray([0.5, -1.0, 2.0])
    found = sample(answers, jax.random.split(jax.random.key(0), 3))
    assert found.shape == (3, 10, 14, 14, 2)
    wanted = np.broadcast_to(answers[:, None, None, None, None], found.shape)
    np.testing.assert_allclose(found, wanted, atol=1e-4)


def half_of_it(rows, times, answers):
    """A network that is wrong, so that the noise that was drawn shows in the end."""
    assert rows.shape[2:4] == (16, 16)
    return 0.5 * rows + answers[:, None, None, None, None]


def test_a_clip_depends_on_its_key_alone():
    keys, answers = jax.random.split(jax.random.key(1), 3), jnp.asarray([0.1, 0.2, 0.3])
    together = sample(answers, keys, network=half_of_it)
    order = np.array([2, 0, 1])
    turned = sample(answers[order], keys[order], network=half_of_it)
    np.testing.assert_allclose(turned, together[order], atol=1e-5)
    assert np.abs(together[0] - together[1]).max() > 0.5


def test_fractions_are_drawn_evenly_over_their_range():
    keys = jax.random.split(jax.random.key(0), 2000)
    drawn = np.asarray(sampling.drawn_fractions(keys, 20.0, 60.0))
    assert 0.2 <= drawn.min() < 0.205 and 0.595 < drawn.max() <= 0.6
    np.testing.assert_allclose(drawn.mean(), 0.4, atol=0.01)
