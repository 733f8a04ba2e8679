import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from echodfkd_jax.errors import UserError
from echodfkd_jax.runs import sampling
from echodfkd_jax.synthesis.diffusion import edm
from tests.made_generator import WINDOW, Blocks, made_generator

pytestmark = pytest.mark.slow


@functools.cache
def sampler():
    return sampling.PictureSampler(made_generator(Blocks), 8)


def pictures():
    return np.random.default_rng(0).integers(0, 256, (WINDOW, 112, 112)).astype(np.uint8)


def made(sigma, seed=0, **options):
    return sampler()(
        pictures(), jax.random.key(seed), first=sampler().step_at(sigma), **options
    ).astype(float)


def test_latents_are_standardised_and_decoding_takes_that_back():
    encoded = made_generator().encode(pictures())
    assert encoded.shape == (WINDOW, *made_generator().latent_shape) == (WINDOW, 14, 14, 4)
    signal = jnp.asarray(pictures(), jnp.float32)[..., None] / 128 - 1
    raw = made_generator().model.apply(made_generator().variables, signal, method="encode").mean
    np.testing.assert_allclose(encoded * 1.5 + 0.1 * np.arange(4.0), raw, atol=1e-4)
    grey = np.clip(
        (made_generator().model.apply(made_generator().variables, raw, method="decode") + 1) * 128,
        0,
        255,
    )
    np.testing.assert_allclose(made_generator().decode(encoded), grey[..., 0], atol=1.01)


def test_pictures_come_back_through_the_auto_encoder_where_there_is_no_noise():
    wanted = through_the_auto_encoder()
    # Noise of 0.01 and churn of none are a few hundredths of a latent, 128 grey values.
    assert np.abs(made(0.01) - wanted).max() <= 6
    assert np.abs(made(5.0) - wanted).max() > 20


def through_the_auto_encoder():
    generator = made_generator(Blocks)
    return generator.decode(generator.encode(pictures())).astype(float)


def test_the_noise_decides_and_carried_noise_makes_still_pictures_a_still_clip():
    still = np.repeat(pictures()[:1], WINDOW, axis=0)
    sources = np.tile(np.arange(14 * 14).reshape(1, 14, 14), (WINDOW, 1, 1))
    first = sampler().step_at(5.0)

    def change(sources):
        clip = sampler()(still, jax.random.key(0), first=first, sources=sources).astype(float)
        return np.abs(np.diff(clip, axis=0)).mean()

    assert change(sources) < 0.2 * change(None)
    assert np.any(made(5.0) != made(5.0, seed=1))
    np.testing.assert_array_equal(made(5.0), made(5.0))


def test_the_published_start_has_less_noise():
    # At a level at which a network that knows nothing does not lose the pictures.
    repaired, published = (
        np.abs(made(0.5, published=each) - through_the_auto_encoder()).mean()
        for each in (False, True)
    )
    assert 0 < published < 0.9 * repaired


def test_without_churn_the_published_start_has_none():
    still = sampling.PictureSampler(made_generator(Blocks), 8, edm.NO_CHURN)
    seeds = [still(pictures(), jax.random.key(seed), first=4, published=True) for seed in range(2)]
    np.testing.assert_array_equal(*seeds)


def test_another_number_of_pictures_is_an_error():
    with pytest.raises(UserError, match="3 pictures of a clip: this generator takes 4"):
        sampler()(pictures()[:3], jax.random.key(0), first=0)


def test_a_clip_depends_on_its_number_and_seed_alone():
    draw = sampling.clip_sampler(made_generator(), num_frames=6, steps=2)

    def clips(seed, *numbers):
        fractions = jnp.full(len(numbers), 0.5)
        return np.asarray(draw(sampling.keys_of(seed, jnp.asarray(numbers, jnp.uint32)), fractions))

    both = clips(0, 3, 7)
    assert both.shape == (2, 6, 112, 112) and both.dtype == np.uint8
    assert np.abs(clips(0, 7, 1)[0].astype(int) - both[1]).max() <= 1
    assert np.any(clips(1, 3, 7) != both)
