"""How far a model's end-diastole and end-systole are from the reference's and the teacher's."""

import math

from echodfkd_jax.evaluation.evaluator import Evaluator, Row, ScoredClip
from echodfkd_jax.measurement import phase


class PhaseDistance(Evaluator):
    """Distances in frames; the rule is that of `measurement.phase`."""

    identity = "phase-1"
    rows = (
        Row("mean", "afd_ed/{}_vs_reference", "ED off by, frames", 1),
        Row("mean", "afd_es/{}_vs_reference", "ES off by, frames", 1),
        Row("mean", "afd_ed/{}_vs_teacher", "ED off the teacher's by, frames", 1),
        Row("mean", "afd_es/{}_vs_teacher", "ES off the teacher's by, frames", 1),
    )

    def clip(self, scored: ScoredClip) -> dict[str, float]:
        """`afd_ed` and `afd_es`; nan where nobody named the reference's."""
        found = {}
        for model, area in scored.lv.phase_areas_px.items():
            references = {"reference": (scored.clip.ed_frame, scored.clip.es_frame)}
            if "teacher" in scored.masks and model != "teacher":
                references["teacher"] = phase.extreme_frames(scored.lv.phase_areas_px["teacher"])
            for name, (ed, es) in references.items():
                known = ed >= 0 and es >= 0
                ed_distance = abs(phase.estimate_ed(area, ed) - ed) if known else math.nan
                es_distance = abs(phase.estimate_es(area, es) - es) if known else math.nan
                found[f"afd_ed/{model}_vs_{name}"] = float(ed_distance)
                found[f"afd_es/{model}_vs_{name}"] = float(es_distance)
        return found
