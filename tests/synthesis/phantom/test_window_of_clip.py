"""Windows of longer clips; their frames are made one by one, so small ones do."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from echodfkd_jax.synthesis import make_window
from echodfkd_jax.synthesis.phantom import clip
from echodfkd_jax.synthesis.phantom.clip import render, sample_scene

NUM_FRAMES, SHOWN, OUTLINED = 17, (0, 4, 8), (8,)
KEYS = jax.random.split(jax.random.key(7), 6)


@functools.partial(jax.jit, static_argnames="phases")
@functools.partial(jax.vmap, in_axes=(0, None))
def windows(key, phases):
    return make_window(key, num_frames=NUM_FRAMES, shown=SHOWN, outlined=OUTLINED, phases=phases)


@jax.jit
@jax.vmap
def scenes(key):
    """The long clips' scenes, and which of their frames each window's middle may be."""
    return sample_scene(jax.random.split(key)[0], num_frames=clip.LONG_FRAMES)


def test_shown_frames_and_outlined_masks_alone_are_made():
    made = jax.eval_shape(lambda key: windows(key, 0.5), KEYS)
    assert made.frames.shape == (6, 3, 112, 112)
    assert made.mask.shape == (6, 1, 112, 112)
    assert made.structures.shape == (6, 1, 112, 112, 5)
    whole = jax.eval_shape(lambda key: make_window(key, num_frames=5), KEYS[0])
    assert len(whole.frames) == len(whole.mask) == 5


def test_the_middle_is_a_phase_where_that_is_asked_for():
    made = windows(KEYS, 1.0)
    scene = scenes(KEYS)

    @jax.jit
    @jax.vmap
    def phases_of(scene):
        contraction = scene.movement.contraction[8:-8]
        numbers = jnp.stack([jnp.argmin(contraction), jnp.argmax(contraction)]) + 8
        scene = scene._replace(scanner=scene.scanner._replace(blend=jnp.zeros(())))
        return render(scene, numbers).mask

    found = np.asarray(phases_of(scene))
    middle = np.asarray(made.mask)
    same = (found == middle).mean((2, 3)) > 0.999
    assert same.any(1).all()
    assert same.any(0).all()  # Both phases are among six windows.


@pytest.mark.slow  # A program of its own.
def test_a_window_shows_a_longer_clip():
    made = windows(KEYS, 0.0)
    whole = jax.jit(jax.vmap(lambda scene: render(scene).mask))(scenes(KEYS))
    agree = (np.asarray(whole) == np.asarray(made.mask)).mean((2, 3))
    assert (agree.max(1) > 0.999).all()
