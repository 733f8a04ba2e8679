import jax
import jax.numpy as jnp
import numpy as np
import pytest

from echodfkd_jax.synthesis.diffusion import edm, losses
from tests.synthesis.diffusion.golden import facts

LVDM = facts("training_step")["lvdm"]


@pytest.mark.parametrize(
    ("published", "wanted"),
    [(True, LVDM["loss"]), (False, LVDM["loss_mean_over_valid_elements"])],
)
def test_masked_mean_of_the_recorded_step(published, wanted):
    of_frames = jnp.asarray(LVDM["squared_error_per_frame"])
    error = jnp.broadcast_to(of_frames[None, :, None, None, None], (1, 4, 14, 14, 4))
    count = jnp.asarray([LVDM["valid_frames"]])
    valid = losses.valid_frames(count, 4, published=published)
    found = losses.masked_mean(error, valid, published=published)
    np.testing.assert_allclose(found, wanted, rtol=1e-5)


def test_valid_frames_literally():
    count = jnp.asarray([0, 2, 3])
    np.testing.assert_array_equal(losses.valid_frames(count, 3), [[0, 0, 0], [1, 1, 0], [1, 1, 1]])
    np.testing.assert_array_equal(
        losses.valid_frames(count, 3, published=True), [[1, 0, 0], [1, 1, 1], [1, 1, 1]]
    )


def test_what_fills_a_window_has_no_part_in_the_gradient():
    valid = losses.valid_frames(jnp.asarray([2, 3]), 3)
    error = jnp.ones((2, 3, 2, 2, 1)).at[0, 2].set(jnp.nan)
    found, gradient = jax.value_and_grad(losses.masked_mean)(error, valid)
    assert found == 1
    np.testing.assert_array_equal(gradient[0, 2], 0)
    np.testing.assert_allclose(gradient[1], 1 / 20, rtol=1e-6)


def test_nothing_valid_is_no_loss():
    assert losses.masked_mean(jnp.ones((1, 2, 3)), jnp.zeros((1, 2), bool)) == 0


@pytest.mark.slow
def test_offset_noise_moves_whole_channels_of_a_clip():
    noise = losses.offset_noise(jax.random.key(0), (64, 16, 8, 8, 4), offset=2.0)
    means = np.mean(noise, axis=(1, 2, 3))
    np.testing.assert_allclose(means.std(), 2.0, atol=0.2)
    np.testing.assert_allclose(np.std(noise, axis=(1, 2, 3)), 1.0, atol=0.1)
    alone = losses.offset_noise(jax.random.key(0), (64, 16, 8, 8, 4), offset=0.0)
    np.testing.assert_allclose(
        noise - alone, np.broadcast_to((noise - alone)[:, :1, :1, :1], noise.shape), atol=1e-5
    )


def test_edm_weight_cancels_what_the_network_is_scaled_by():
    # An error of 1 in the raw network's output counts 1 at every level.
    sigma = jnp.asarray([0.01, 0.5, 20.0])
    wanted = jnp.zeros((3, 2))
    clean = edm.preconditioning(sigma).out[:, None] * jnp.ones((3, 2))
    np.testing.assert_allclose(losses.edm_error(clean, wanted, sigma), 1.0, rtol=1e-5)
