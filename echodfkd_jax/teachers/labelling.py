"""A teacher's word on one whole clip.

A teacher is a function of frames. One that needs more than the frames (masks made before are found
by the clip's name) has a method `clip_probabilities(clip)` besides, and these functions call it
where there is one.
"""

import numpy as np
from jaxtyping import Float32

from echodfkd_jax.teachers.base import Teacher
from echodfkd_jax.types import Clip, SoftMask


def clip_probabilities(teacher: Teacher, clip: Clip) -> Float32[np.ndarray, "t h w"]:
    """Probability of the left ventricle in every pixel of a clip, in host memory."""
    method = getattr(teacher, "clip_probabilities", None)
    return np.asarray(teacher(clip.frames) if method is None else method(clip))


def label_clip(teacher: Teacher, clip: Clip) -> SoftMask:
    """The soft mask of a clip as it is stored: 255 * probability, rounded."""
    return np.rint(255 * clip_probabilities(teacher, clip)).astype(np.uint8)
