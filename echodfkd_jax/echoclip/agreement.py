"""All that a judge says about one clip and its masks, under the names that the metrics have."""

import itertools
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from types import MappingProxyType

import numpy as np
import scipy.stats
from jaxtyping import Bool

from echodfkd_jax import files
from echodfkd_jax.echoclip import phase, scores
from echodfkd_jax.echoclip.cache import embed_clip
from echodfkd_jax.echoclip.judge import Embeddings, Judge
from echodfkd_jax.echoclip.prompts import PromptEmbeddings
from echodfkd_jax.masks import LV, LV_ALONE, MASK_THRESHOLD, name_in
from echodfkd_jax.types import Frames, SoftMask

# The frame that a mask shows as ("ed" or "es"), of the beat nearest a reference frame.
FrameFinder = Callable[[SoftMask, str, int], int]
_ERASURE = ("erasure_as_released", "erasure_dilated")


def agreement(
    judge: Judge,
    prompts: PromptEmbeddings,
    frames: Frames,
    masks: Mapping[str, SoftMask],
    *,
    find_frame: FrameFinder,
    others: Mapping[str, Mapping[str, SoftMask]] = MappingProxyType({}),
    cache_dir: files.PathLike = "",
    erasure_step_frames: int = 1,
) -> dict[str, float]:
    """Scores one clip.

    Args:
        judge: the image-text model.
        prompts: its embeddings of the sentences, from `embed_prompts`, once for all clips.
        frames: the clip.
        masks: soft masks of the left ventricle by whose they are, such as {"student": ...,
            "teacher": ...}.
        find_frame: `(mask, "ed" or "es", reference frame) -> frame`, the rule by which frames are
            estimated from areas.
        others: such masks of other structures, by structure; those without a sentence are not
            looked at.
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
        - `S/erasure_as_released/M`, `S/erasure_dilated/M`, `S/erasure/no_mask`: of structure S.

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
    }
    for name, mask in masks.items():
        for phase_name, frame in reference.items():
            metrics[f"afd_{phase_name}/{name}_vs_{judge.name}"] = (
                float(abs(find_frame(mask, phase_name, frame) - frame)) if len(frames) else math.nan
            )
    step = slice(None, None, erasure_step_frames)
    for structure, texts in prompts.erasure.items():
        of_models = masks if structure == LV else others.get(structure, {})
        if structure != LV and not of_models:
            continue
        untouched = scores.erasure_score_as_released(seen[step], texts)
        metrics[name_in(structure, "erasure/no_mask")] = untouched
        for name, mask in of_models.items():
            found = erasure_scores(judge, texts, frames[step], mask[step] > MASK_THRESHOLD)
            for metric, value in found.items():
                metrics[name_in(structure, f"{metric}/{name}")] = value
    return metrics


def erasure_scores(
    judge: Judge, texts: Embeddings, frames: Frames, region: Bool[np.ndarray, "t h w"]
) -> dict[str, float]:
    """Both erasure scores of one binary mask per frame, by their names.

    Args:
        judge: the image-text model.
        texts: (3, d): wall, nothing, and what is masked.
        frames: the clip.
        region: what is painted black.
    """
    erased = judge.embed_images(scores.erase(frames, region))
    dilated = judge.embed_images(scores.erase(frames, scores.dilate(region)))
    return {
        "erasure_as_released": scores.erasure_score_as_released(erased, texts),
        "erasure_dilated": scores.erasure_score_dilated(erased, dilated, texts),
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


def rank_pairs(
    judge_name: str, models: Iterable[str], structures: Iterable[str] = LV_ALONE
) -> dict[str, tuple[str, str]]:
    """The judge's verdicts and those of the reference masks and frames, to correlate by rank.

    Only where these correlate (positively, all of them) does a good score by the judge mean a good
    mask. Use `rank_both` on each pair.

    Args:
        judge_name: the judge's name.
        models: the keys of `masks`.
        structures: that have erasure scores.

    Returns:
        Two per-clip metrics by the correlation's name.
    """
    pairs = {f"rank/ef/{judge_name}_vs_recorded": (f"ef/{judge_name}", "ef/recorded")}
    for model in models:
        for structure, score in itertools.product(structures, _ERASURE):
            pairs[name_in(structure, f"rank/{score}/{model}_vs_dice")] = (
                name_in(structure, f"{score}/{model}"),
                name_in(structure, f"dice/{model}_vs_reference"),
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
