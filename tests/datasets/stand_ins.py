"""A generator and a teacher that are quick and whose every value is known."""

import sys
import types
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

import echodfkd_jax
from echodfkd_jax import teachers
from echodfkd_jax.teachers.base import FrameTeacher


class MadeClip(NamedTuple):
    frames: jax.Array
    mask: jax.Array
    fps: jax.Array
    ed_frame: jax.Array
    es_frame: jax.Array
    ef_percent: jax.Array
    edv_ml: jax.Array
    esv_ml: jax.Array


def make_clip(key, *, num_frames, poor_windows=0.0):
    """Noise; its mask is where it is bright."""
    # Numbers mixed with the key: `jax.random` takes a second or two to compile.
    one, other = jax.random.key_data(key)
    mixed = (jnp.arange(num_frames * 112 * 112, dtype=jnp.uint32) ^ one) * jnp.uint32(2654435761)
    mixed = (mixed ^ other ^ (mixed >> 15)) * jnp.uint32(2246822519)
    frames = (mixed >> 24).astype(jnp.uint8).reshape(num_frames, 112, 112)
    return MadeClip(
        frames=frames,
        mask=frames > 200,
        fps=jnp.float32(50),
        ed_frame=jnp.int32(1),
        es_frame=jnp.int32(num_frames - 1),
        ef_percent=jnp.float32(60),
        edv_ml=jnp.float32(100),
        esv_ml=jnp.float32(40),
    )


def make_window(key, *, num_frames, shown, outlined, phases=0.0, poor_windows=0.0):
    """Some frames of such a clip."""
    made = make_clip(key, num_frames=num_frames, poor_windows=poor_windows)
    return made._replace(
        frames=made.frames[jnp.asarray(shown)], mask=made.mask[jnp.asarray(outlined)]
    )


class CountingTeacher(FrameTeacher):
    """Says that brightness is probability, counts clips, and can break off before one of them."""

    name = "unet"

    def __init__(self, fingerprint="unet-aaaaaaaaaaaa", break_before=None):
        self.fingerprint = fingerprint
        self.break_before = break_before
        self.num_clips = 0

    def __call__(self, frames):
        if self.num_clips == self.break_before:
            raise KeyboardInterrupt
        self.num_clips += 1
        return self.apply_fn(jnp.asarray(np.asarray(frames), jnp.float32))

    def apply_fn(self, frames):
        return frames[..., None] / 255


def use(monkeypatch, teacher, generator_version="stand-in 1"):
    """Puts the generator in the place of `synthesis`, and the teacher in that of every teacher."""
    synthesis = types.ModuleType("echodfkd_jax.synthesis")
    synthesis.make_clip, synthesis.make_window = make_clip, make_window
    synthesis.VERSION = generator_version
    synthesis.TRAINING_POOR_WINDOWS, synthesis.STRUCTURES = 0.5, ("lv",)
    monkeypatch.setitem(sys.modules, "echodfkd_jax.synthesis", synthesis)
    monkeypatch.setattr(echodfkd_jax, "synthesis", synthesis, raising=False)
    monkeypatch.setattr(teachers, "load_teacher", lambda **options: teacher)
    return teacher
