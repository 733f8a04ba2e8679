"""Small clips with literal masks, shared by the tests of this folder."""

import math

import numpy as np

from echodfkd_jax.evaluation.evaluator import ScoredClip
from echodfkd_jax.masks import LV_ALONE
from echodfkd_jax.types import Clip, NamedMasks

SIDE = 4


def bars(*widths):
    """One 4x4 mask per width: so many of its four columns are filled."""
    return np.stack([np.broadcast_to(np.arange(SIDE) < width, (SIDE, SIDE)) for width in widths])


def soft(*widths):
    return bars(*widths).astype(np.uint8) * 255


def clip(num_frames, *, reference=None, ed=-1, es=-1, ef=math.nan, name="clip"):
    """A clip whose reference is `{frame: width}`."""
    reference = reference or {}
    masks = bars(*reference.values()) if reference else np.zeros((0, SIDE, SIDE), bool)
    return Clip(
        name=name,
        frames=np.zeros((num_frames, SIDE, SIDE), np.uint8),
        fps=50.0,
        ef_percent=ef,
        edv_ml=math.nan,
        esv_ml=math.nan,
        ed_frame=ed,
        es_frame=es,
        reference_frames=np.array(list(reference), np.int32),
        reference_masks=masks[..., None],
    )


def scored(made, masks):
    """A clip with masks (t, h, w) of its left ventricle, by model; the student's are the first."""
    masks = {"student": next(iter(masks.values()))} | masks
    named = {model: NamedMasks(mask[..., None], LV_ALONE) for model, mask in masks.items()}
    return ScoredClip(made, named)
