"""Overlap of masks with the reference and with the teacher's masks."""

import math

import numpy as np
from jaxtyping import Bool, Float64

from echodfkd_jax.evaluation import segmentation
from echodfkd_jax.evaluation.correlation import pearson
from echodfkd_jax.evaluation.evaluator import (
    PHASES,
    Evaluator,
    PhaseFrames,
    Row,
    ScoredClip,
    Target,
)
from echodfkd_jax.masks import name_in


class Overlap(Evaluator):
    """Dice and IoU over frames, and at ED and ES; correlation of areas; of every structure."""

    identity = "overlap-1"
    rows = (
        Row("mean", "dice/{}_vs_teacher", "Dice, against the teacher", 3),
        Row("mean", "dice/{}_vs_reference", "Dice, against the reference", 3),
        Row("mean", "dice_ed/{}_vs_reference", "  at end-diastole", 3),
        Row("mean", "dice_es/{}_vs_reference", "  at end-systole", 3),
    )

    def clip(self, scored: ScoredClip) -> dict[str, float]:
        """`dice`, `iou`, `area_correlation` (nan unless every frame has a mask), `empty_frames`."""
        return {
            name_in(structure, f"{metric}/{model}_vs_{name}"): value
            for structure, outlines in scored.structures.items()
            for model, binary in outlines.binary.items()
            for name, target in outlines.targets(model).items()
            for metric, value in _compare(binary, target, scored.phase_frames).items()
        }


def _compare(
    binary: Bool[np.ndarray, "t h w"], target: Target, frames: PhaseFrames
) -> dict[str, float]:
    mask = binary[target.frames]
    dice, iou = segmentation.dice(mask, target.masks), segmentation.iou(mask, target.masks)
    found = {
        "dice": _mean(dice),
        "iou": _mean(iou),
        "empty_frames": float(segmentation.both_empty(mask, target.masks).sum()),
        "area_correlation": math.nan,
    }
    for name in PHASES:
        at = target.frames == frames.of(name)
        found[f"dice_{name}"], found[f"iou_{name}"] = _mean(dice[at]), _mean(iou[at])
    if len(target.frames) == len(binary):  # A curve needs every frame.
        own = np.count_nonzero(mask, axis=(1, 2)).astype(np.float64)
        found["area_correlation"] = pearson(own, target.masks.sum(axis=(1, 2)).astype(np.float64))
    return found


def _mean(values: Float64[np.ndarray, "n"]) -> float:
    return float(values.mean()) if len(values) else math.nan
