import numpy as np
import pytest

from echodfkd_jax.errors import UserError
from echodfkd_jax.synthesis.diffusion import samplers, schedules
from tests.synthesis.diffusion.golden import arrays, assert_golden, facts

ALPHAS = schedules.linear_alphas_cumprod()


def test_published_schedule():
    assert_golden("schedulers", "alphas_cumprod", ALPHAS)
    assert ALPHAS.dtype == np.float32


def test_published_timesteps_and_what_is_left_at_them():
    steps = schedules.leading(ALPHAS, 64)
    np.testing.assert_array_equal(steps.time, arrays("schedulers")["timesteps"])
    assert_golden("schedulers", "alphas_cumprod_at_steps", steps.signal**2)
    assert_golden("schedulers", "variance_at_steps", samplers.posterior_variance(steps))
    assert (steps.next_signal[-1], steps.next_noise[-1]) == (1, 0)


def test_repaired_timesteps_begin_at_the_last_and_go_to_the_next_listed():
    steps = schedules.trailing(ALPHAS, 64)
    np.testing.assert_array_equal(steps.time, arrays("schedulers")["trailing_timesteps"])
    assert steps.time[0] == 999
    np.testing.assert_array_equal(steps.next_signal[:-1], steps.signal[1:])
    assert set(-np.diff(steps.time)) == {15, 16}


def test_zero_terminal_snr():
    rescaled = schedules.zero_terminal_snr(ALPHAS)
    assert_golden("schedulers", "zero_snr_alphas_cumprod", rescaled)
    assert rescaled[-1] == 0
    steps = schedules.trailing(rescaled, 64)
    assert (steps.signal[0], steps.noise[0]) == (0, 1)


def test_edm_levels():
    steps = schedules.karras_sigmas(64)
    assert_golden("edm", "sigmas", np.append(steps.noise, steps.next_noise[-1]))
    np.testing.assert_allclose(steps.noise[15], facts("edm")["sigma_15"], rtol=1e-6)
    assert steps.start == 80


def test_linear_flow_is_a_straight_line():
    steps = schedules.linear_flow(4)
    np.testing.assert_allclose(steps.noise, [1, 0.75, 0.5, 0.25])
    np.testing.assert_allclose(steps.signal + steps.noise, 1)
    np.testing.assert_allclose(steps.next_noise, [0.75, 0.5, 0.25, 0])


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: schedules.leading(ALPHAS, 0), "^0 sampling steps: expected 1 to 1000"),
        (lambda: schedules.trailing(ALPHAS, 1001), "^1001 sampling steps: expected 1 to 1000"),
        (lambda: schedules.karras_sigmas(1), "^1 sampling steps: expected 2 or more"),
        (lambda: schedules.linear_flow(0), "^0 sampling steps: expected 1 or more"),
    ],
)
def test_numbers_of_steps_that_cannot_be(make, message):
    with pytest.raises(UserError, match=message):
        make()
