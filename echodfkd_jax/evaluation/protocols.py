"""Two published ways to score a model, side by side; neither depends on the project's own metrics.

`paper`: EchoDFKD (Petit et al., arXiv 2409.07566): mean over clips of the Dice at ED and ES, masks
cut at 80 of 255; average frame distances; ejection fraction by areas.
`echonet`: EchoNet-Dynamic (Ouyang et al., Nature 2020): Dice of pixels pooled over clips, masks cut
at logit 0, 10,000 bootstrap samples, 5th to 95th percentile.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from echodfkd_jax.evaluation import segmentation, summary
from echodfkd_jax.evaluation.clip_metrics import PHASES, PhaseFrames
from echodfkd_jax.masks import MASK_THRESHOLD
from echodfkd_jax.measurement.ejection_fraction import ejection_fraction_percent
from echodfkd_jax.types import Clip, SoftMask

PAPER_THRESHOLD = 80
ECHONET_THRESHOLD = MASK_THRESHOLD
ECHONET_SAMPLES = 10_000
ECHONET_PERCENTILES = (5.0, 95.0)


def clip_numbers(
    clip: Clip, masks: Mapping[str, SoftMask], frames: PhaseFrames
) -> dict[str, float]:
    """What both protocols need of one clip.

    Args:
        clip: its reference masks and recorded ejection fraction.
        masks: soft masks of all frames, by model.
        frames: ED and ES.

    Returns:
        Numbers by names that only `summarise` reads; nan where the clip has no reference mask at
        ED or ES.
    """
    found = {"ef/recorded": float(clip.ef_percent)}
    for model, mask in masks.items():
        sizes = [float((mask[frames[name]] > PAPER_THRESHOLD).sum()) for name in PHASES]
        found[f"ef/{model}"] = ejection_fraction_percent(*sizes)
        for reference in _references(model, masks):
            for name in PHASES:
                key = f"{name}/{model}_vs_{reference}"
                found |= _at_frame(key, clip, masks, model, reference, frames[name])
    return found


def summarise(
    protocol_clips: Sequence[Mapping[str, float]],
    metric_clips: Sequence[Mapping[str, float]],
    models: Sequence[str],
    *,
    num_samples: int,
    seed: int = 0,
) -> dict[str, dict[str, Any]]:
    """Both protocols over all clips.

    Args:
        protocol_clips: from `clip_numbers`.
        metric_clips: from `clip_metrics`, the same clips: distances of frames are taken from there.
        models: whose masks.
        num_samples: bootstrap samples of `paper`, which published none.
        seed: of the bootstrap.

    Returns:
        `{"paper": {name: entry}, "echonet": {name: entry}}`; an entry has `value`, an interval and
        `count`, the number of clips. Names without any clip are left out.
    """
    paper: dict[str, Any] = {}
    echonet: dict[str, Any] = {}
    for model in models:
        for reference in _references(model, models):
            pair = f"{model}_vs_{reference}"
            ed = summary.column(protocol_clips, f"dice/ed/{pair}")
            es = summary.column(protocol_clips, f"dice/es/{pair}")
            numbers = {f"dice/{pair}": (ed + es) / 2, f"dice_ed/{pair}": ed, f"dice_es/{pair}": es}
            for name in PHASES:
                metric = f"afd_{name}/{pair}"
                numbers[metric] = summary.column(metric_clips, metric)
            for name, values in numbers.items():
                paper[name] = summary.mean_entry(values, num_samples=num_samples, seed=seed)
            echonet |= _pooled_dice(protocol_clips, pair, seed)
        paper |= summary.correlate(
            protocol_clips,
            {f"ef_correlation/{model}_vs_recorded": (f"ef/{model}", "ef/recorded")},
            num_samples=num_samples,
            seed=seed,
        )
    return {
        "paper": {name: entry for name, entry in paper.items() if entry["count"]},
        "echonet": {name: entry for name, entry in echonet.items() if entry["count"]},
    }


def _references(model: str, models: Mapping[str, Any] | Sequence[str]) -> list[str]:
    return ["reference"] + (["teacher"] if model != "teacher" and "teacher" in models else [])


def _at_frame(
    key: str, clip: Clip, masks: Mapping[str, SoftMask], model: str, reference: str, frame: int
) -> dict[str, float]:
    """Dice at the paper's threshold, and pixels of both masks and of their intersection."""
    soft = masks[model][frame : frame + 1]
    paper = echonet = None
    if reference == "teacher":
        teacher = masks["teacher"][frame : frame + 1]
        paper, echonet = teacher > PAPER_THRESHOLD, teacher > ECHONET_THRESHOLD
    else:
        at = np.flatnonzero(clip.reference_frames == frame)
        if len(at):
            paper = echonet = clip.reference_masks[at[:1]]
    if paper is None or echonet is None:
        names = ("dice", "intersection_px", "total_px")
        return {f"{name}/{key}": math.nan for name in names}
    cut = soft > ECHONET_THRESHOLD
    return {
        f"dice/{key}": float(segmentation.dice(soft > PAPER_THRESHOLD, paper)[0]),
        f"intersection_px/{key}": float(segmentation.intersection_px(cut, echonet)[0]),
        f"total_px/{key}": float(segmentation.total_px(cut, echonet)[0]),
    }


def _pooled_dice(clips: Sequence[Mapping[str, float]], pair: str, seed: int) -> dict[str, Any]:
    parts = {n: 2 * summary.column(clips, f"intersection_px/{n}/{pair}") for n in PHASES}
    wholes = {n: summary.column(clips, f"total_px/{n}/{pair}") for n in PHASES}
    pooled = {f"dice/{pair}": (parts["ed"] + parts["es"], wholes["ed"] + wholes["es"])}
    pooled |= {f"dice_{name}/{pair}": (parts[name], wholes[name]) for name in PHASES}
    return {
        name: summary.ratio_entry(
            part,
            whole,
            num_samples=ECHONET_SAMPLES,
            percentiles=ECHONET_PERCENTILES,
            seed=seed,
        )
        for name, (part, whole) in pooled.items()
    }
