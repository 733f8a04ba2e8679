import numpy as np
import pytest

from echodfkd_jax.evaluation.evaluator import find_all
from echodfkd_jax.evaluation.phase_distance import PhaseDistance
from echodfkd_jax.evaluation.protocols import Protocols
from tests.evaluation.made_up_clips import clip, scored, soft

EVALUATORS = {"phase": PhaseDistance(), "protocols": Protocols()}


def evaluate(*clips_and_masks):
    found = [find_all(EVALUATORS, scored(*both)) for both in clips_and_masks]
    models = list(clips_and_masks[0][1])
    summary = EVALUATORS["protocols"].summarise(found, models=models, num_samples=50, seed=0)
    return summary["protocols"]


def level(value):
    return np.full((2, 4, 4), value, np.uint8)


FULL = clip(2, reference={0: 4, 1: 4}, ed=0, es=1)


def test_paper_cuts_above_80_and_echonet_at_logit_0():
    found = evaluate((FULL, {"student": level(81)}))
    assert found["paper"]["dice/student_vs_reference"]["value"] == 1.0
    assert found["echonet"]["dice/student_vs_reference"]["value"] == 0.0
    assert evaluate((FULL, {"student": level(80)}))["paper"]["dice/student_vs_reference"][
        "value"
    ] == pytest.approx(0.0)
    assert evaluate((FULL, {"student": level(128)}))["echonet"]["dice/student_vs_reference"][
        "value"
    ] == pytest.approx(1.0)


def test_paper_averages_over_clips_and_echonet_pools_pixels():
    # ED widths: 1 against 1, and 2 against 4; ES widths: 1 against 1, and 1 against 1.
    small = clip(2, reference={0: 1, 1: 1}, ed=0, es=1)
    large = clip(2, reference={0: 4, 1: 1}, ed=0, es=1)
    found = evaluate((small, {"student": soft(1, 1)}), (large, {"student": soft(2, 1)}))
    paper, echonet = found["paper"], found["echonet"]
    assert paper["dice_ed/student_vs_reference"]["value"] == pytest.approx((1 + 2 / 3) / 2)
    assert paper["dice/student_vs_reference"]["value"] == pytest.approx((1 + (2 / 3 + 1) / 2) / 2)
    assert echonet["dice_ed/student_vs_reference"]["value"] == pytest.approx(2 * 3 / 8)
    assert echonet["dice/student_vs_reference"]["value"] == pytest.approx(2 * 5 / 12)
    assert echonet["dice/student_vs_reference"]["percentiles"] == (5.0, 95.0)


def test_every_number_has_its_count_of_clips():
    untraced = clip(2)
    masks = {"student": soft(4, 4), "teacher": soft(4, 2)}
    found = evaluate((FULL, masks), (untraced, masks))
    assert found["paper"]["dice/student_vs_reference"]["count"] == 1
    assert found["paper"]["dice/student_vs_teacher"]["count"] == 2
    assert found["paper"]["afd_es/student_vs_teacher"]["count"] == 2
    assert found["echonet"]["dice_es/student_vs_reference"]["count"] == 1


def test_a_teachers_own_masks_are_perfect():
    mask = soft(4, 3, 1, 2)
    found = evaluate((clip(4), {"labeller": mask.copy(), "teacher": mask}))
    for protocol in ("paper", "echonet"):
        assert found[protocol]["dice/labeller_vs_teacher"]["value"] == 1.0
    assert found["paper"]["afd_ed/labeller_vs_teacher"]["value"] == 0.0
    assert found["paper"]["afd_es/labeller_vs_teacher"]["value"] == 0.0


def test_correlation_of_ejection_fractions_by_areas():
    # Areas 4 -> 1, 2, 3 columns: EF 75, 50, 25.
    made = [clip(2, ed=0, es=1, ef=ef) for ef in (70.0, 60.0, 50.0)]
    found = evaluate(*((c, {"student": soft(4, es)}) for c, es in zip(made, (1, 2, 3))))
    entry = found["paper"]["ef_correlation/student_vs_recorded"]
    assert (entry["value"], entry["count"]) == (pytest.approx(1.0), 3)


def test_names_without_any_clip_are_left_out():
    found = evaluate((clip(2), {"student": soft(1, 1)}))
    assert found == {"paper": {}, "echonet": {}}
