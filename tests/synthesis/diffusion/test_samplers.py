import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from echodfkd_jax.errors import UserError
from echodfkd_jax.synthesis.diffusion import edm, injection, predictions, samplers, schedules
from tests.synthesis.diffusion.golden import arrays, assert_golden, facts

ALPHAS = schedules.linear_alphas_cumprod()


def linear_network(state, time):
    """The made-up network of the recorded chains."""
    return 0.3 * state + 0.01 * time / 1000


def ddpm(kind, clip):
    level = predictions.variance_preserving(ALPHAS)
    return predictions.denoiser(linear_network, kind, level, clip=clip)


def recorded(noise):
    return lambda number: jnp.asarray(noise)[number]


def kept(sampler, start, steps, first=0):
    return jax.jit(lambda x: samplers.run_and_keep(sampler, x, steps, first=first))(start)


def test_published_ancestral_chain():
    golden, steps = arrays("schedulers"), schedules.leading(ALPHAS, 64)
    sampler = samplers.ancestral(ddpm("v", 4.0), steps, recorded(golden["noise"]))
    stepped = kept(sampler, golden["xT"], steps)
    assert_golden("schedulers", "ddpm_states", stepped.state)
    assert_golden("schedulers", "ddpm_pred_x0", stepped.clean)
    assert np.abs(stepped.clean).max() == 4.0  # The start is such that clipping acts.


def test_published_deterministic_chain():
    golden, steps = arrays("schedulers"), schedules.leading(ALPHAS, 64)
    stepped = kept(samplers.deterministic(ddpm("v", 4.0), steps), golden["xT"], steps)
    assert_golden("schedulers", "ddim_states", stepped.state)


def test_published_chain_over_all_timesteps_with_predicted_noise():
    golden, steps = arrays("schedulers"), schedules.leading(ALPHAS, 1000)
    noise = recorded(golden["diffecho_noise"])
    sampler = samplers.ancestral(ddpm("epsilon", 1.0), steps, noise)
    stepped = kept(sampler, golden["diffecho_xT"], steps)
    wanted = np.array([999 - time for time in range(900, -1, -100)])
    assert_golden("schedulers", "diffecho_states_after_t_900_800_to_0", stepped.state[wanted])


def test_run_ends_where_the_kept_chain_does():
    golden, steps = arrays("schedulers"), schedules.leading(ALPHAS, 64)
    sampler = samplers.ancestral(ddpm("v", 4.0), steps, recorded(golden["noise"]))
    end = samplers.run(sampler, jnp.asarray(golden["xT"]), steps)
    np.testing.assert_allclose(end, kept(sampler, golden["xT"], steps).state[-1], atol=1e-6)


def test_repaired_steps_from_nothing_but_noise_end_at_what_is_predicted():
    # A network that knows the answer: v of a constant clean state.
    steps = schedules.trailing(schedules.zero_terminal_snr(ALPHAS), 64)
    levels = predictions.variance_preserving(schedules.zero_terminal_snr(ALPHAS))
    answer = jnp.asarray([[0.5, -2.0]])

    def knows(state, time):
        level = levels(time)
        noise = (state - level.signal * answer) / level.noise
        return predictions.target_of("v", answer, noise, level)

    denoise = predictions.denoiser(knows, "v", levels)
    draw = samplers.noise_from(jax.random.key(0), (1, 2))
    start = samplers.start_of(steps, draw)
    for sampler in (
        samplers.ancestral(denoise, steps, draw),
        samplers.deterministic(denoise, steps),
    ):
        np.testing.assert_allclose(samplers.run(sampler, start, steps), answer, atol=1e-5)


def edm_network(state, noise_condition):
    """The made-up raw network of the recorded chains."""
    return jnp.tanh(0.7 * state + 0.2 * noise_condition)


SIGMAS = schedules.karras_sigmas(64)


def published_heun():
    noise = recorded(arrays("edm")["noise"])
    return samplers.heun(edm.edm_denoiser(edm_network), SIGMAS, noise, edm.Churn())


def to_pixels(state):
    return (np.clip(state, -1, 1) + 1) / 2


def test_published_churn():
    found = edm.gammas(SIGMAS.noise, edm.Churn())
    assert_golden("edm", "gammas", found)
    assert list(np.flatnonzero(found)[[0, -1]]) == facts("edm")["steps_with_churn"]


def test_published_preconditioning():
    factors = edm.preconditioning(arrays("edm")["levels"])
    for name in ("skip", "out", "in", "noise"):
        assert_golden("edm", f"c_{name}", getattr(factors, "in_" if name == "in" else name))
    assert_golden("edm", "loss_weight", factors.weight)


def test_published_heun_chain():
    start = np.float32(SIGMAS.start) * arrays("edm")["z"]
    states = kept(published_heun(), start, SIGMAS).state
    assert_golden("edm", "states", states)
    assert_golden("edm", "output", to_pixels(states[-1]))


def test_heun_without_churn_follows_the_exact_solution():
    def gaussian(state, sigma):
        clean = state * 0.25 / (0.25 + sigma**2)
        return predictions.Estimate(clean, (state - clean) / sigma)

    never = samplers.noise_from(jax.random.key(0), (2, 4))
    start = np.float32(SIGMAS.start) * arrays("edm")["z"]
    states = kept(samplers.heun(gaussian, SIGMAS, never), start, SIGMAS).state
    assert_golden("edm", "states_no_churn_gauss", states)
    exact = arrays("edm")["exact_gauss_end"]
    np.testing.assert_allclose(states[-1], exact, atol=0.01)
    euler = kept(samplers.deterministic(gaussian, SIGMAS), start, SIGMAS).state[-1]
    assert np.abs(euler - exact).max() > 5 * np.abs(states[-1] - exact).max()


@pytest.mark.parametrize(("published", "name"), [(True, "published"), (False, "correct")])
def test_a_picture_as_the_start(published, name):
    golden, first = arrays("edm"), injection.FIRST_STEP
    picture = jnp.asarray(2 * golden["pseudo"] - 1)
    noise = jnp.asarray(golden["z15"])
    start = injection.inject(picture, noise, SIGMAS, first, published=published)
    if not published:
        assert_golden("edm", "sdedit_correct_start", start)
    states = kept(published_heun(), start, SIGMAS, first).state
    assert_golden("edm", f"sdedit_{name}_states", states)
    assert_golden("edm", f"sdedit_{name}_output", to_pixels(states[-1]))


def test_a_picture_cannot_start_at_a_step_that_is_not_there():
    picture = jnp.zeros((2, 4))
    with pytest.raises(UserError, match="start step 64: expected 0 to 63"):
        injection.inject(picture, picture, SIGMAS, 64)


def test_a_straight_flow_is_followed_exactly_by_a_single_step():
    clean, noise = jnp.asarray([[1.0, -3.0]]), jnp.asarray([[0.2, 0.7]])
    denoise = predictions.denoiser(lambda x, t: noise - clean, "flow", predictions.straight)
    for count in (1, 5):
        steps = schedules.linear_flow(count)
        end = samplers.run(samplers.deterministic(denoise, steps), noise, steps)
        np.testing.assert_allclose(end, clean, atol=1e-6)


def test_one_key_decides_every_draw():
    steps = schedules.leading(ALPHAS, 8)

    @functools.partial(jax.jit, static_argnums=1)
    def sample(seed, shape):
        draw = samplers.noise_from(jax.random.key(seed), shape)
        sampler = samplers.ancestral(ddpm("v", 4.0), steps, draw)
        return samplers.run(sampler, samplers.start_of(steps, draw), steps)

    first = sample(1, (2, 4))
    np.testing.assert_array_equal(sample(1, (2, 4)), first)
    assert np.abs(sample(2, (2, 4)) - first).max() > 0.1


def test_no_step_draws_what_another_or_the_start_drew():
    draw = samplers.noise_from(jax.random.key(0), (3,))
    steps = schedules.leading(ALPHAS, 8)
    drawn = np.stack([*(draw(number) for number in range(8)), samplers.start_of(steps, draw)])
    assert len(np.unique(drawn)) == drawn.size


def test_a_rows_noise_does_not_depend_on_its_batch():
    keys = jax.random.split(jax.random.key(0), 3)
    together = samplers.noise_of_rows(keys, (2, 2))(5)
    alone = samplers.noise_of_rows(keys[1:2], (2, 2))(5)
    np.testing.assert_array_equal(together[1], alone[0])
    assert len(np.unique(together)) == 12
