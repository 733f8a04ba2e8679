"""Every number that the evaluation gives for one clip.

Models (`student`, `teacher`, `labeller`) have soft masks of all frames. What they are compared with
is the clip's `reference` masks (exact or traced) and the teacher's masks. Names of metrics are
`<what>/<model>`, or `<what>/<model>_vs_<reference or teacher>`.
"""

import dataclasses
import math
from collections.abc import Mapping

import numpy as np
from jaxtyping import Bool, Float64, Int

from echodfkd_jax.evaluation import segmentation
from echodfkd_jax.evaluation.calibration import calibration_error, count_bins
from echodfkd_jax.evaluation.correlation import pearson
from echodfkd_jax.masks import MASK_THRESHOLD
from echodfkd_jax.measurement import disks, phase
from echodfkd_jax.measurement.ejection_fraction import ejection_fraction_percent
from echodfkd_jax.types import Clip, Masks, SoftMask

# Metrics that are summed over clips, not averaged.
TOTALS = ("empty_frames/",)
PHASES = ("ed", "es")


@dataclasses.dataclass(frozen=True)
class PhaseFrames:
    """Which frames of a clip are end-diastole and end-systole.

    Attributes:
        ed: frame index.
        es: frame index.
        source: "known" (the generator's, or traced by a human), "teacher" (largest and least area
            of the teacher's mask, where nobody named them), or "student" (likewise, where there
            is no teacher's mask either).
    """

    ed: int
    es: int
    source: str

    def __getitem__(self, name: str) -> int:
        return {"ed": self.ed, "es": self.es}[name]


def find_phase_frames(clip: Clip, masks: Mapping[str, SoftMask]) -> PhaseFrames:
    """The frames at which a clip's ED and ES metrics are taken, the same for all models.

    Args:
        clip: with known ED and ES frames, or -1.
        masks: by model; `teacher` or `student` must be among them.
    """
    if clip.ed_frame >= 0 and clip.es_frame >= 0:
        return PhaseFrames(clip.ed_frame, clip.es_frame, "known")
    source = "teacher" if "teacher" in masks else "student"
    return PhaseFrames(*phase.extreme_frames(phase.area_px(masks[source])), source)


def clip_metrics(clip: Clip, masks: Mapping[str, SoftMask]) -> dict[str, float]:
    """Compares the masks of one clip.

    Args:
        clip: its references and what is recorded of it.
        masks: soft masks of all frames, by model.

    Returns:
        Metric and value; nan where the clip lacks what the metric needs. Dice, IoU, correlation and
        calibration error 0..1, distances in frames, ejection fractions in percent.
    """
    frames = find_phase_frames(clip, masks)
    found: dict[str, float] = {"ef/recorded": float(clip.ef_percent)}
    for model, mask in masks.items():
        for name, target in _targets(clip, model, masks).items():
            found |= {
                f"{metric}/{model}_vs_{name}": value
                for metric, value in _compare(mask, target, frames).items()
            }
        found |= _phase_distances(clip, model, masks)
        found |= _ejection_fractions(model, mask > MASK_THRESHOLD, frames, clip.ef_percent)
    reference = _reference_of(clip)
    if {frames.ed, frames.es} <= set(reference.frames.tolist()):
        at = [reference.masks[reference.frames == frames[name]][0] for name in PHASES]
        found["ef_area/reference"], found["ef_disks/reference"] = _two_fractions(*at)
    return found


def calibration_counts(
    clip: Clip, masks: Mapping[str, SoftMask]
) -> dict[str, Float64[np.ndarray, "3 bins"]]:
    """Counts of `calibration.count_bins` by `<model>_vs_<reference or teacher>`.

    Only what the clip has is there. The teacher's mask is cut at `MASK_THRESHOLD`.
    """
    return {
        f"{model}_vs_{name}": count_bins(mask[target.frames], target.masks)
        for model, mask in masks.items()
        for name, target in _targets(clip, model, masks).items()
        if len(target.frames)
    }


def area_curves(
    masks: Mapping[str, SoftMask],
    reference_frames: Int[np.ndarray, "n"],
    reference_masks: Masks,
) -> dict[str, Float64[np.ndarray, "t"]]:
    """Area in pixels of every frame, by model, and of the `reference` where its mask is known.

    Masks are cut at `MASK_THRESHOLD`; nan where there is no reference.
    """
    curves = {
        model: np.count_nonzero(mask > MASK_THRESHOLD, axis=(1, 2)).astype(np.float64)
        for model, mask in masks.items()
    }
    curves["reference"] = np.full(len(next(iter(masks.values()))), np.nan)
    curves["reference"][reference_frames] = reference_masks.sum(axis=(1, 2))
    return curves


@dataclasses.dataclass(frozen=True)
class _Target:
    """What a mask is compared with: binary masks of some frames, and soft ones if there are."""

    frames: np.ndarray
    masks: Bool[np.ndarray, "n h w"]
    soft: SoftMask | None = None


def _targets(clip: Clip, model: str, masks: Mapping[str, SoftMask]) -> dict[str, _Target]:
    """What a model is compared with, by name."""
    targets = {"reference": _reference_of(clip)}
    if "teacher" in masks and model != "teacher":
        teacher = masks["teacher"]
        targets["teacher"] = _Target(np.arange(len(teacher)), teacher > MASK_THRESHOLD, teacher)
    return targets


def _reference_of(clip: Clip) -> _Target:
    return _Target(np.asarray(clip.reference_frames), clip.reference_masks)


def _compare(mask: SoftMask, target: _Target, frames: PhaseFrames) -> dict[str, float]:
    soft = mask[target.frames]
    binary = soft > MASK_THRESHOLD
    dice = segmentation.dice(binary, target.masks)
    iou = segmentation.iou(binary, target.masks)
    found = {
        "dice": _mean(dice),
        "iou": _mean(iou),
        "empty_frames": float(segmentation.both_empty(binary, target.masks).sum()),
        "calibration_error": calibration_error(count_bins(soft, target.masks)),
        "area_correlation": math.nan,
    }
    for name in PHASES:
        at = target.frames == frames[name]
        found[f"dice_{name}"], found[f"iou_{name}"] = _mean(dice[at]), _mean(iou[at])
    if len(target.frames) == len(mask):  # A curve needs every frame.
        own = np.count_nonzero(binary, axis=(1, 2)).astype(np.float64)
        found["area_correlation"] = pearson(own, target.masks.sum(axis=(1, 2)).astype(np.float64))
    return found


def _phase_distances(clip: Clip, model: str, masks: Mapping[str, SoftMask]) -> dict[str, float]:
    """Frames between a model's ED and ES and those of the reference, and of the teacher."""
    area = phase.area_px(masks[model])
    references = {"reference": (clip.ed_frame, clip.es_frame)}
    if "teacher" in masks and model != "teacher":
        references["teacher"] = phase.extreme_frames(phase.area_px(masks["teacher"]))
    found = {}
    for name, (ed, es) in references.items():
        known = ed >= 0 and es >= 0
        ed_distance = abs(phase.estimate_ed(area, ed) - ed) if known else math.nan
        es_distance = abs(phase.estimate_es(area, es) - es) if known else math.nan
        found[f"afd_ed/{model}_vs_{name}"] = float(ed_distance)
        found[f"afd_es/{model}_vs_{name}"] = float(es_distance)
    return found


def _ejection_fractions(
    model: str, binary: Bool[np.ndarray, "t h w"], frames: PhaseFrames, recorded: float
) -> dict[str, float]:
    by_area, by_disks = _two_fractions(binary[frames.ed], binary[frames.es])
    return {
        f"ef_area/{model}": by_area,
        f"ef_disks/{model}": by_disks,
        f"ef_area_error/{model}_vs_recorded": abs(by_area - recorded),
        f"ef_disks_error/{model}_vs_recorded": abs(by_disks - recorded),
    }


def _two_fractions(
    ed_mask: Bool[np.ndarray, "h w"], es_mask: Bool[np.ndarray, "h w"]
) -> tuple[float, float]:
    by_area = ejection_fraction_percent(float(ed_mask.sum()), float(es_mask.sum()))
    by_disks = ejection_fraction_percent(disks.volume_px3(ed_mask), disks.volume_px3(es_mask))
    return by_area, by_disks


def _mean(values: Float64[np.ndarray, "n"]) -> float:
    return float(values.mean()) if len(values) else math.nan
