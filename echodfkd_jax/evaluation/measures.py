"""Measures of a clip's masks (volumes, strain, excursion, chambers) against the reference's."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from echodfkd_jax.evaluation import summary
from echodfkd_jax.evaluation.evaluator import Evaluator, Found, Group, ScoredClip
from echodfkd_jax.masks import LV, MASK_THRESHOLD
from echodfkd_jax.measurement.beats import Beat, find_beats
from echodfkd_jax.measurement.measures import KINDS, measure_clip
from echodfkd_jax.types import NamedMasks


class Measures(Evaluator):
    """Each measure as predict gives it: the mean over the beats that a model's own masks show.

    Where the reference is known at end-diastole and end-systole alone, all are measured at these
    two frames. Lengths, areas and volumes are in pixels, of which no clip knows the size.
    """

    identity = "measures-1"
    groups = (
        Group(
            "Measures: agreement with the reference's",
            "Mean difference (model - reference) with the 95 % limits of agreement (Bland and "
            "Altman); percent, or pixels of a length, an area, a volume.",
            ("agreement",),
            decimals=2,
        ),
        Group(
            "Measures: correlation with the reference's",
            "Pearson's r over clips.",
            ("correlation",),
            ("measures/*",),
            decimals=3,
        ),
    )

    def clip(self, scored: ScoredClip) -> dict[str, float]:
        """`measures/<name>/<model>`, of the reference too; nan where its masks do not say it."""
        names = [name for name, kind in KINDS.items() if kind.structure in scored.structures]
        found = {}
        for model, masks, beats in _measured(scored):
            measures = measure_clip(masks, beats)
            found |= {f"measures/{name}/{model}": measures[name].mean for name in names}
        return found

    def summarise(
        self, found: Sequence[Found], *, models: Sequence[str], num_samples: int, seed: int
    ) -> Mapping[str, Mapping[str, Any]]:
        """Correlation and agreement of each model's measures with the reference's."""
        pairs = {
            f"measures/{name}/{model}_vs_reference": (
                f"measures/{name}/{model}",
                f"measures/{name}/reference",
            )
            for name in KINDS
            for model in models
        }
        return {
            "correlation": summary.correlate(found, pairs, num_samples=num_samples, seed=seed),
            "agreement": summary.agree(found, pairs),
        }


def _measured(scored: ScoredClip) -> Iterator[tuple[str, NamedMasks, Sequence[Beat]]]:
    """The masks that are measured, by model and of the reference, with their beats."""
    clip, at = scored.clip, scored.phase_frames
    known = clip.reference_frames.tolist()
    masks = dict(scored.masks)
    pair = [at.ed, at.es]
    every = known == list(range(len(clip.frames)))
    if every or set(pair) <= set(known):
        exact = (255 * clip.reference_masks.astype(np.uint8), clip.reference_structures)
        masks["reference"] = NamedMasks(*exact)
    for model, named in masks.items():
        if every or "reference" not in masks:
            area = np.count_nonzero(named.of(LV) > MASK_THRESHOLD, axis=(1, 2))
            yield model, named, find_beats(area, clip.fps).beats
        else:
            frames = [known.index(frame) for frame in pair] if model == "reference" else pair
            yield model, named._replace(masks=named.masks[frames]), (Beat(0, 1),)
