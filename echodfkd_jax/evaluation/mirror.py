"""Whether a clip is shown with left and right exchanged.

Both ways to show an apical view are in use; a network knows the one that it was trained on and
takes the right ventricle for the left one in the other. It is surer of its outline the right way
round: over 14 recorded and 20 generated clips the unsure band (see `view`) of either shipped
student was wider in every one once it was mirrored, by 1.03 to 2.6 times.
"""

import math
from typing import NamedTuple

import numpy as np

from echodfkd_jax.evaluation import segmentation
from echodfkd_jax.evaluation.clip_metrics import MASK_THRESHOLD
from echodfkd_jax.evaluation.view import describe_view
from echodfkd_jax.types import SoftMask

# So many frames of a clip are looked at.
SAMPLE_FRAMES = 24
# Masks that overlap so well are the same both ways: it does not matter how the clip is shown.
_SAME_DICE = 0.85
# A band that is narrower by this factor decides; within these factors neither way is surer.
_CLEARLY = 0.93
_DOUBTED = 1.03


class Mirror(NamedTuple):
    """What was found.

    Attributes:
        mirrored: the clip is to be turned round.
        doubted: neither way is clearly the right one, and they give different outlines.
        band: the unsure band as the clip is.
        band_mirrored: and of the clip turned round.
    """

    mirrored: bool
    doubted: bool
    band: float
    band_mirrored: float


def middle_frames(num_frames: int) -> slice:
    """The frames that are looked at: neighbours, from the middle of a clip."""
    count = min(num_frames, SAMPLE_FRAMES)
    start = (num_frames - count) // 2
    return slice(start, start + count)


def compare(mask: SoftMask, mask_mirrored: SoftMask) -> Mirror:
    """Decides which way round a clip is.

    Args:
        mask: of some frames.
        mask_mirrored: of the same frames mirrored, as they came from the network.
    """
    bands = [describe_view(masks).unsure_band for masks in (mask, mask_mirrored)]
    back = mask_mirrored[:, :, ::-1] > MASK_THRESHOLD
    same = float(segmentation.dice(mask > MASK_THRESHOLD, back).mean()) >= _SAME_DICE
    if same or not math.isfinite(min(bands)):
        return Mirror(False, False, *bands)
    ratio = bands[1] / bands[0] if bands[0] else math.inf
    mirrored = ratio < _CLEARLY
    return Mirror(mirrored, not mirrored and ratio < _DOUBTED, *bands)


def mirror_frames(frames: np.ndarray) -> np.ndarray:
    """Frames (t, h, w) with left and right exchanged."""
    return np.ascontiguousarray(frames[:, :, ::-1])
