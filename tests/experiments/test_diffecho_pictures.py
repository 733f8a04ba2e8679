import jax
import jax.numpy as jnp
import numpy as np
import pytest

from experiments import camus_stills, diffecho_pictures
from experiments import labelled_pictures as labelled
from tests.experiments import made_up_stills

WIDTHS = (8, 16)


def pictures(tmp_path, patients, **options):
    path = made_up_stills.write(tmp_path / "stills.npz", patients, **options)
    return labelled.of_stills(camus_stills.read_stills(path))


def test_pixels_come_back_from_the_signal(tmp_path):
    frames = pictures(tmp_path, 2).frames
    grey = jnp.array([100.0, 40.0])
    signal = diffecho_pictures.to_signal(frames, grey)
    assert signal.shape == (4, 16, 16, 4)
    # The four pixels of a square, row by row.
    np.testing.assert_allclose(
        signal[0, 3, 5], (frames[0, 6:8, 10:12].reshape(-1) - 100.0) / 80.0, rtol=1e-5
    )
    np.testing.assert_array_equal(diffecho_pictures.to_frames(signal, grey), frames)


def test_pictures_and_maps_are_deformed_alike(tmp_path):
    some = pictures(tmp_path, 4, noise=0.0)
    keys = jax.random.split(jax.random.key(0), len(some.frames))
    frames, labels = jax.vmap(labelled.deformed)(keys, some.frames, some.labels)
    assert np.mean(labels != some.labels) > 0.02
    # Where the map says wall the picture is bright, where it says blood it is dark.
    assert np.mean(np.asarray(frames)[np.asarray(labels) == 2]) > 180
    assert np.mean(np.asarray(frames)[np.asarray(labels) == 1]) < 50
    other = jax.vmap(labelled.deformed)(keys[::-1], some.frames, some.labels)[1]
    assert np.mean(labels != other) > 0.02


@pytest.mark.slow
def test_what_is_learnt_is_what_the_map_says(tmp_path):
    """At a level of noise that hides the heart, on hearts that were not learnt from."""
    some = pictures(tmp_path, 40, noise=0.0)
    unseen = pictures(tmp_path, 10, noise=0.0, seed=1)
    generator = diffecho_pictures.train(some, WIDTHS, steps=200, batch=8, seed=0)
    clean = diffecho_pictures.to_signal(unseen.frames, generator.grey)
    noisy = clean + 10 * jax.random.normal(jax.random.key(1), clean.shape)

    def error(labels):
        model = diffecho_pictures.MapUNet(WIDTHS)
        denoise = diffecho_pictures.denoiser(model, generator.params, labels, unseen.phase)
        return float(jnp.mean((jax.jit(denoise)(noisy, jnp.float32(10)).clean - clean) ** 2))

    mean = jnp.mean(diffecho_pictures.to_signal(some.frames, generator.grey), axis=0)
    of_the_mean = float(jnp.mean((mean - clean) ** 2))
    assert error(unseen.labels) < 0.5 * of_the_mean
    # With another heart's map it is that heart which is seen.
    assert error(jnp.roll(unseen.labels, 2, axis=0)) > of_the_mean


def test_the_seed_decides_the_pictures(tmp_path):
    some = pictures(tmp_path, 3)
    model = diffecho_pictures.MapUNet((8,))
    params = diffecho_pictures._first_params(model, (32, 32), jax.random.key(0))
    generator = diffecho_pictures.Generator(params, jnp.array([100.0, 50.0]))
    diffecho_pictures.save_generator(tmp_path / "generator.safetensors", generator)
    again = diffecho_pictures.load_generator(tmp_path / "generator.safetensors")

    def make(generator, count, seed):
        return diffecho_pictures.make(
            generator, (8,), some, count=count, sampling_steps=2, seed=seed
        )

    made, map_of = make(generator, 8, 0)
    assert made.frames.shape == made.labels.shape == (8, 32, 32)
    np.testing.assert_array_equal(made.phase, some.phase[map_of])
    assert sorted(map_of[:6]) == list(range(6))
    # The same map again is deformed in another way.
    assert map_of[6] == map_of[0]
    assert np.any(made.labels[6] != made.labels[0])
    same = make(again, 8, 0)
    for one, other in zip(made, same[0]):
        np.testing.assert_array_equal(one, other)
    assert np.any(make(generator, 8, 1)[0].frames != made.frames)
