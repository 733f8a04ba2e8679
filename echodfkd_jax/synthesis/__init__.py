"""Apical four-chamber clips from a random key: anatomy, motion, acquisition, all in JAX."""

from echodfkd_jax.synthesis.phantom.chambers import STRUCTURES
from echodfkd_jax.synthesis.phantom.clip import (
    FRAME_SIZE,
    TRAINING_POOR_WINDOWS,
    VERSION,
    SyntheticClip,
    make_clip,
    make_window,
)

__all__ = [
    "FRAME_SIZE",
    "STRUCTURES",
    "TRAINING_POOR_WINDOWS",
    "VERSION",
    "SyntheticClip",
    "make_clip",
    "make_window",
]
