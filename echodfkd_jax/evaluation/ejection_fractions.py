"""Ejection fractions of masks, by areas and by disks, against the recorded ones."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from jaxtyping import Bool

from echodfkd_jax.evaluation import summary
from echodfkd_jax.evaluation.evaluator import PHASES, Evaluator, Found, Row, ScoredClip
from echodfkd_jax.measurement import disks
from echodfkd_jax.measurement.ejection_fraction import ejection_fraction_percent


class EjectionFractions(Evaluator):
    """Percent, from the areas or the volumes at ED and ES; their error and correlation."""

    identity = "ejection_fraction-1"
    rows = (
        Row("correlation", "ef_area/{}_vs_recorded", "EF by areas, r with recorded", 2),
        Row("correlation", "ef_disks/{}_vs_recorded", "EF by disks, r with recorded", 2),
        Row("correlation", "ef_area/{}_vs_teacher", "EF by areas, r with teacher's", 2),
    )

    def clip(self, scored: ScoredClip) -> dict[str, float]:
        """`ef_area`, `ef_disks` and their errors by model; of the reference where it is known."""
        recorded, frames = scored.clip.ef_percent, scored.phase_frames
        found = {"ef/recorded": float(recorded)}
        for model, binary in scored.lv.binary.items():
            by_area, by_disks = _two_fractions(binary[frames.ed], binary[frames.es])
            found |= {
                f"ef_area/{model}": by_area,
                f"ef_disks/{model}": by_disks,
                f"ef_area_error/{model}_vs_recorded": abs(by_area - recorded),
                f"ef_disks_error/{model}_vs_recorded": abs(by_disks - recorded),
            }
        known, masks = scored.lv.reference
        if {frames.ed, frames.es} <= set(known.tolist()):
            at = [masks[known == frames.of(name)][0] for name in PHASES]
            found["ef_area/reference"], found["ef_disks/reference"] = _two_fractions(*at)
        return found

    def summarise(
        self, found: Sequence[Found], *, models: Sequence[str], num_samples: int, seed: int
    ) -> Mapping[str, Mapping[str, Any]]:
        """Correlations over the clips."""
        pairs = ejection_fraction_pairs([*models, "reference"])
        return {"correlation": summary.correlate(found, pairs, num_samples=num_samples, seed=seed)}


def ejection_fraction_pairs(models: Iterable[str]) -> dict[str, tuple[str, str]]:
    """Which ejection fractions to correlate: each model's with the recorded and the teacher's.

    Returns:
        Pairs of metrics by names such as `ef_area/student_vs_recorded`.
    """
    models = list(models)
    pairs = {}
    for kind in ("ef_area", "ef_disks"):
        for model in models:
            pairs[f"{kind}/{model}_vs_recorded"] = (f"{kind}/{model}", "ef/recorded")
            if "teacher" in models and model != "teacher":
                pairs[f"{kind}/{model}_vs_teacher"] = (f"{kind}/{model}", f"{kind}/teacher")
    return pairs


def _two_fractions(
    ed_mask: Bool[np.ndarray, "h w"], es_mask: Bool[np.ndarray, "h w"]
) -> tuple[float, float]:
    by_area = ejection_fraction_percent(float(ed_mask.sum()), float(es_mask.sum()))
    by_disks = ejection_fraction_percent(disks.volume_px3(ed_mask), disks.volume_px3(es_mask))
    return by_area, by_disks
