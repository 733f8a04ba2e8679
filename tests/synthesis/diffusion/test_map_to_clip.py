import jax
import jax.numpy as jnp
import numpy as np
import pytest

from echodfkd_jax.errors import UserError
from echodfkd_jax.synthesis.diffusion import edm, predictions, schedules
from echodfkd_jax.synthesis.diffusion.map_to_clip import clip_of_pictures
from echodfkd_jax.synthesis.diffusion.samplers import noise_from

STEPS = schedules.karras_sigmas(64)
SHAPE = (4, 16, 16, 1)
PICTURES = np.tile(np.linspace(0.2, 0.8, 16), (4, 16, 1))[..., None]


def prior(state, sigma):
    """The exact denoiser of pixels that are independent, around 0, of deviation 0.25."""
    clean = state * 0.0625 / (0.0625 + sigma**2)
    return predictions.Estimate(clean, (state - clean) / sigma)


def made(first, **options):
    draw = noise_from(jax.random.key(0), SHAPE)
    noise = jax.random.normal(jax.random.key(1), SHAPE)
    return np.asarray(clip_of_pictures(prior, PICTURES, noise, STEPS, draw, first=first, **options))


def likeness(first, **options):
    return np.corrcoef(made(first, **options).ravel(), PICTURES.ravel())[0, 1]


@pytest.mark.slow
def test_later_steps_keep_more_of_the_map():
    early, middle, late = (likeness(first, churn=edm.NO_CHURN) for first in (10, 45, 60))
    assert abs(early) < 0.2 and early < middle < late
    assert late > 0.99


def test_a_start_with_the_noise_of_its_level_gives_what_the_network_knows():
    # Deviation 0.25 of -1..1 is 0.125 of 0..1; the published start has too little noise for it.
    repaired, published = (
        made(15, churn=edm.NO_CHURN, published=each).std() for each in (False, True)
    )
    assert repaired == pytest.approx(0.125, rel=0.1)
    assert published < 0.05


def test_a_clip_is_within_its_range_and_the_same_for_the_same_noise():
    first = made(15)
    assert first.shape == SHAPE and first.min() >= 0 and first.max() <= 1
    np.testing.assert_array_equal(first, made(15))


def test_there_is_no_step_beyond_the_last():
    with pytest.raises(UserError, match="start step 64: expected 0 to 63"):
        clip_of_pictures(prior, PICTURES, jnp.zeros(SHAPE), STEPS, noise_from, first=64)
