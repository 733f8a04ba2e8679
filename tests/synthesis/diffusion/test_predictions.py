import jax
import jax.numpy as jnp
import numpy as np
import pytest

from echodfkd_jax.errors import UserError
from echodfkd_jax.synthesis.diffusion import edm, predictions, schedules
from tests.synthesis.diffusion.golden import arrays, assert_golden

LEVELS = predictions.variance_preserving(schedules.linear_alphas_cumprod())


def golden_rows():
    golden = arrays("schedulers")
    rows = len(golden["t"])
    clean, noise = (jnp.asarray(np.stack([golden[name]] * rows)) for name in ("x0", "eps"))
    return clean, noise, LEVELS(jnp.asarray(golden["t"]))


def test_published_noisy_states_and_velocities():
    clean, noise, level = golden_rows()
    assert_golden("schedulers", "add_noise", predictions.mix(clean, noise, level))
    assert_golden("schedulers", "velocity", predictions.target_of("v", clean, noise, level))


@pytest.mark.parametrize("kind", predictions.KINDS)
def test_the_target_as_a_prediction_gives_back_both_parts(kind):
    clean, noise, level = golden_rows()
    if kind == "flow":
        level = predictions.straight(jnp.linspace(0.05, 0.95, len(clean)))
    state = predictions.mix(clean, noise, level)
    target = predictions.target_of(kind, clean, noise, level)
    estimate = predictions.estimate_of(kind, target, state, level)
    # Almost nothing of the clean state is left at the last timesteps, and must be divided by.
    np.testing.assert_allclose(estimate.clean, clean, atol=1e-3 if kind == "epsilon" else 1e-5)
    np.testing.assert_allclose(estimate.noise, noise, atol=1e-5)


def test_clipping_leaves_the_noise_as_predicted():
    state = jnp.asarray([[9.0, 0.1]])
    level = schedules.Level(jnp.float32(0.6), jnp.float32(0.8))
    free = predictions.estimate_of("v", 0 * state, state, level)
    clipped = predictions.estimate_of("v", 0 * state, state, level, clip=4.0)
    np.testing.assert_allclose(clipped.clean, [[4.0, 0.06]], rtol=1e-6)
    np.testing.assert_array_equal(clipped.noise, free.noise)


def test_an_unknown_prediction_is_an_error():
    state, level = jnp.zeros((1, 2)), schedules.Level(jnp.float32(1), jnp.float32(0))
    for call in (predictions.target_of, predictions.estimate_of):
        with pytest.raises(UserError, match="predicts 'x0': expected one of epsilon, v, flow"):
            call("x0", state, state, level)


def test_edm_denoiser_takes_a_level_for_each_row():
    denoise = edm.edm_denoiser(lambda x, c: jnp.tanh(x) * c[:, None])
    state, sigma = jnp.asarray([[1.0, 2.0], [3.0, 4.0]]), jnp.asarray([0.5, 2.0])
    both = denoise(state, sigma)
    alone = edm.edm_denoiser(lambda x, c: jnp.tanh(x) * c)(state[1], sigma[1])
    np.testing.assert_allclose(both.clean[1], alone.clean, rtol=1e-6)
    np.testing.assert_allclose(both.clean + sigma[:, None] * both.noise, state, rtol=1e-6)


def test_levels_of_training_have_the_published_logarithms():
    logs = np.log(edm.draw_sigmas(jax.random.key(0), 20_000))
    np.testing.assert_allclose([logs.mean(), logs.std()], [-1.2, 1.2], atol=0.03)


def test_guidance_exaggerates_what_the_condition_changes():
    network = predictions.guided(lambda x, t: x + t, lambda x, t: x, 3.0)
    np.testing.assert_allclose(network(jnp.ones(2), jnp.float32(0.5)), 1 + 3 * 0.5)


def test_conditions_are_dropped_as_often_as_asked():
    condition = jnp.arange(1.0, 4001.0)[:, None]
    kept, dropped = predictions.drop_conditions(jax.random.key(0), condition, -1.0, 0.1)
    np.testing.assert_array_equal(kept[:, 0], np.where(dropped, -1.0, condition[:, 0]))
    assert 0.08 < np.mean(dropped) < 0.12


@pytest.mark.parametrize("kind", ["epsilon", "v"])
def test_a_network_of_a_schedule_is_asked_at_sigmas(kind):
    table = schedules.zero_terminal_snr(schedules.linear_alphas_cumprod())
    variance = 0.25
    asked = []

    def exact(state, time):
        """What is to be predicted of normal numbers of that variance."""
        asked.append(float(time))
        alpha = np.interp(float(time), np.arange(len(table)), table)
        signal, noise = np.sqrt(alpha), np.sqrt(1 - alpha)
        whole = alpha * variance + 1 - alpha
        clean, drawn = signal * variance * state / whole, noise * state / whole
        return drawn if kind == "epsilon" else signal * drawn - noise * clean

    denoise = predictions.at_sigmas(exact, kind, table)
    for time in (3, 400, 900):
        sigma = np.sqrt((1 - table[time]) / table[time])
        state = jnp.asarray([3.0, -2.0]) * sigma
        found = denoise(state, jnp.float32(sigma))
        assert asked[-1] == pytest.approx(time, abs=0.01)
        wanted = variance / (variance + sigma**2) * np.asarray(state)
        np.testing.assert_allclose(found.clean, wanted, rtol=2e-3, atol=1e-3)
        np.testing.assert_allclose(found.clean + sigma * found.noise, state, rtol=1e-5)
    denoise(state, jnp.float32(1e20))
    assert asked[-1] == 998  # The last one that has any signal.
