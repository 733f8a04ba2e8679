"""All that a judge says about one clip and its masks, under the names that the metrics have."""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence

import numpy as np
import scipy.stats
from jaxtyping import Bool

from echodfkd_jax import files
from echodfkd_jax.echoclip import phase, scores
from echodfkd_jax.echoclip.cache import embed_clip
from echodfkd_jax.echoclip.judge import Judge
from echodfkd_jax.echoclip.prompts import PromptEmbeddings
from echodfkd_jax.masks import MASK_THRESHOLD
from echodfkd_jax.types import Frames, SoftMask

# The frame that a mask shows as ("ed" or "es"), of the beat nearest a reference frame.
FrameFinder = Callable[[SoftMask, str, int], int]


def agreement(
    judge: Judge,
    prompts: PromptEmbeddings,
    frames: Frames,
    masks: Mapping[str, SoftMask],
    *,
    find_frame: FrameFinder,
    cache_dir: files.PathLike = "",
    erasure_step_frames: int = 1,
) -> dict[str, float]:
    """Scores one clip.

    Args:
        judge: the image-text model.
        prompts: its embeddings of the sentences, from `embed_prompts`, once for all clips.
        frames: the clip.
        masks: soft masks by whose they are, such as {"student": ..., "teacher": ...}.
        find_frame: `(mask, "ed" or "es", reference frame) -> frame`, the rule by which frames are
            estimated from areas.
        cache_dir: where embeddings of the clip itself are kept; empty for nowhere. Those of erased
            frames are not kept: a mask changes with every checkpoint.
        erasure_step_frames: erasure scores look at every so many frames; each costs two images
            per frame and mask.

    Returns:
        With J the judge's name and M each key of `masks`:

        - `ef/J`: ejection fraction in percent.
        - `ed_frame/J`, `es_frame/J`: frames by the mitral valve.
        - `afd_ed/M_vs_J`, `afd_es/M_vs_J`: distance in frames from those to the mask's own.
        - `erasure_as_released/M`, `erasure_dilated/M`: see `scores`.
        - `erasure/no_mask`: what both give for frames with nothing erased.

        Every value is nan for a clip without frames.
    """
    seen = embed_clip(judge, frames, cache_dir)
    signal = phase.valve_signal(seen, prompts.valve)
    reference = {"ed": phase.end_diastole(signal), "es": phase.end_systole(signal)}
    metrics = {
        f"ef/{judge.name}": scores.ejection_fraction_percent(
            seen, prompts.ejection_fraction, prompts.ejection_fraction_percent
        ),
        f"ed_frame/{judge.name}": float(reference["ed"]) if len(frames) else math.nan,
        f"es_frame/{judge.name}": float(reference["es"]) if len(frames) else math.nan,
        "erasure/no_mask": scores.erasure_score_as_released(
            seen[::erasure_step_frames], prompts.erasure
        ),
    }
    for name, mask in masks.items():
        for phase_name, frame in reference.items():
            metrics[f"afd_{phase_name}/{name}_vs_{judge.name}"] = (
                float(abs(find_frame(mask, phase_name, frame) - frame)) if len(frames) else math.nan
            )
        step = slice(None, None, erasure_step_frames)
        region = mask[step] > MASK_THRESHOLD
        metrics |= {
            f"{metric}/{name}": value
            for metric, value in erasure_scores(judge, prompts, frames[step], region).items()
        }
    return metrics


def erasure_scores(
    judge: Judge, prompts: PromptEmbeddings, frames: Frames, region: Bool[np.ndarray, "t h w"]
) -> dict[str, float]:
    """Both erasure scores of one binary mask per frame, by their names."""
    erased = judge.embed_images(scores.erase(frames, region))
    dilated = judge.embed_images(scores.erase(frames, scores.dilate(region)))
    return {
        "erasure_as_released": scores.erasure_score_as_released(erased, prompts.erasure),
        "erasure_dilated": scores.erasure_score_dilated(erased, dilated, prompts.erasure),
    }


def linear_pairs(judge_name: str, models: Iterable[str]) -> dict[str, tuple[str, str]]:
    """Ejection fractions to correlate linearly over the clips, as published.

    Args:
        judge_name: the judge's name.
        models: the keys of `masks`.

    Returns:
        Two per-clip metrics by the correlation's name.
    """
    pairs = {
        f"ef_area/{model}_vs_{judge_name}": (f"ef_area/{model}", f"ef/{judge_name}")
        for model in models
    }
    return pairs | {f"ef/{judge_name}_vs_recorded": (f"ef/{judge_name}", "ef/recorded")}


def rank_pairs(judge_name: str, models: Iterable[str]) -> dict[str, tuple[str, str]]:
    """The judge's verdicts and those of the reference masks and frames, to correlate by rank.

    Only where these correlate (positively, all of them) does a good score by the judge mean a good
    mask. Use `rank_both` on each pair.

    Args:
        judge_name: the judge's name.
        models: the keys of `masks`.

    Returns:
        Two per-clip metrics by the correlation's name.
    """
    pairs = {f"rank/ef/{judge_name}_vs_recorded": (f"ef/{judge_name}", "ef/recorded")}
    for model in models:
        for score in ("erasure_as_released", "erasure_dilated"):
            pairs[f"rank/{score}/{model}_vs_dice"] = (
                f"{score}/{model}",
                f"dice/{model}_vs_reference",
            )
        for distance in ("afd_ed", "afd_es"):
            pairs[f"rank/{distance}/{model}_vs_{judge_name}_and_reference"] = (
                f"{distance}/{model}_vs_{judge_name}",
                f"{distance}/{model}_vs_reference",
            )
    return pairs


def rank_both(
    clips: Sequence[Mapping[str, float]], first: str, second: str
) -> list[dict[str, float]]:
    """Both metrics as ranks 1..n among the clips that have both; equal values share their mean.

    Pearson's r of the result is Spearman's rank correlation. Clips that lack either are left out.
    """
    values = np.array(
        [[clip.get(first, math.nan), clip.get(second, math.nan)] for clip in clips], np.float64
    ).reshape(-1, 2)
    known = values[~np.isnan(values).any(axis=1)]
    ranks = scipy.stats.rankdata(known, axis=0)
    return [{first: float(one), second: float(other)} for one, other in ranks]
