"""Whether a clip is shown with left and right exchanged.

Both ways to show an apical view are in use; a network knows the one that it was trained on and
takes the right ventricle for the left one in the other. The right way round it is surer of its
outline, and what it outlines lies to the right of the picture's middle.
"""

import math
from typing import NamedTuple

import numpy as np

from echodfkd_jax.masks import MASK_THRESHOLD
from echodfkd_jax.measurement.view import describe_view
from echodfkd_jax.types import Frames, SoftMask

# So many frames of a clip are looked at.
SAMPLE_FRAMES = 24
# Masks that overlap so well are the same both ways: there is nothing to doubt.
_SAME_DICE = 0.95
# A ventricle that lies further right by the picture's width counts as much as a band (see `view`)
# that is narrower by e to this power.
_PLACE_WEIGHT = 2.24
# Scores beyond this decide, on either side.
_CLEAR_SCORE = 0.15
# Columns with something in them, in grey levels.
_CONTENT = 8


class Mirror(NamedTuple):
    """What was found.

    Attributes:
        mirrored: the clip is to be turned round.
        doubted: neither way is clearly the right one, and they give different outlines.
        score: above 0 the clip is as it should be.
    """

    mirrored: bool
    doubted: bool
    score: float


def middle_frames(num_frames: int) -> slice:
    """The frames that are looked at: neighbours, from the middle of a clip."""
    count = min(num_frames, SAMPLE_FRAMES)
    start = (num_frames - count) // 2
    return slice(start, start + count)


def compare(frames: Frames, mask: SoftMask, mask_mirrored: SoftMask) -> Mirror:
    """Decides which way round a clip is.

    Args:
        frames: some of the clip.
        mask: of them.
        mask_mirrored: of the same frames mirrored, as they came from the network.
    """
    band, band_mirrored = (describe_view(masks).unsure_band for masks in (mask, mask_mirrored))
    inside, back = mask > MASK_THRESHOLD, mask_mirrored[:, :, ::-1] > MASK_THRESHOLD
    total = np.count_nonzero(inside) + np.count_nonzero(back)
    same = 2 * np.count_nonzero(inside & back) >= _SAME_DICE * total
    if math.isinf(band) and math.isinf(band_mirrored):  # Nothing is outlined either way.
        return Mirror(mirrored=False, doubted=False, score=0.0)
    least = 1e-3
    sureness = math.log(max(band_mirrored, least) / max(band, least)) if band < math.inf else -1.0
    sureness = min(sureness, 1.0)
    # Each in its own picture: the clip's, and the one that is turned round.
    middle = _middle_of_content(frames)
    place = _middle_of_mask(mask, middle) - _middle_of_mask(mask_mirrored, 1 - middle)
    score = sureness + _PLACE_WEIGHT * place
    return Mirror(
        mirrored=bool(score < -_CLEAR_SCORE),
        doubted=bool(abs(score) <= _CLEAR_SCORE and not same),
        score=float(score),
    )


def _middle_of_content(frames: Frames) -> float:
    """Where the middle of what is shown lies, 0 left to 1 right."""
    columns = np.flatnonzero((frames.mean(axis=0) > _CONTENT).any(axis=0))
    if len(columns) == 0:
        return 0.5
    return float(columns[0] + columns[-1] + 1) / 2 / frames.shape[2]


def _middle_of_mask(mask: SoftMask, middle: float) -> float:
    """How far right of the middle a mask lies, in widths of the picture; 0 without one."""
    columns = np.count_nonzero(mask > MASK_THRESHOLD, axis=(0, 1))
    if not columns.any():
        return 0.0
    centers = (np.arange(len(columns)) + 0.5) / len(columns)
    return float((columns * centers).sum() / columns.sum()) - middle


def mirror_frames(frames: Frames) -> Frames:
    """Frames with left and right exchanged."""
    return np.ascontiguousarray(frames[:, :, ::-1])
