import math

import numpy as np
import pytest

from echodfkd_jax.errors import UserError
from echodfkd_jax.evaluation.ejection_fractions import ejection_fraction_pairs
from echodfkd_jax.evaluation.evaluator import find_all, open_evaluators
from echodfkd_jax.settings import EvalSettings
from tests.evaluation.made_up_clips import clip, scored, soft

EVALUATORS = open_evaluators(EvalSettings().evaluators)


def found_of(made, masks):
    return find_all(EVALUATORS, scored(made, masks))


def test_overlap_with_teacher_is_the_mean_over_all_frames():
    # Widths 2 and 4 against 4 and 4: Dice 2 * 2 / 6 and 1, IoU 1 / 2 and 1.
    metrics = found_of(clip(2), {"student": soft(2, 4), "teacher": soft(4, 4)})
    assert metrics["dice/student_vs_teacher"] == pytest.approx((2 / 3 + 1) / 2)
    assert metrics["iou/student_vs_teacher"] == pytest.approx(0.75)


def test_overlap_with_reference_is_the_mean_over_its_frames():
    made = clip(3, reference={2: 4, 0: 2})
    metrics = found_of(made, {"student": soft(2, 1, 2)})
    assert metrics["dice/student_vs_reference"] == pytest.approx((1 + 2 / 3) / 2)


def test_masks_are_cut_above_127():
    masks = {"student": np.full((1, 4, 4), 128, np.uint8), "teacher": soft(4)}
    assert found_of(clip(1), masks)["dice/student_vs_teacher"] == 1.0
    masks["student"] -= 1
    assert found_of(clip(1), masks)["dice/student_vs_teacher"] == 0.0


def test_without_reference_its_metrics_are_nan():
    metrics = found_of(clip(2), {"student": soft(2, 1)})
    assert math.isnan(metrics["dice/student_vs_reference"])
    assert math.isnan(metrics["afd_ed/student_vs_reference"])
    assert math.isnan(metrics["ef/recorded"])
    assert "ef_area/reference" not in metrics


def test_empty_frames_are_counted():
    masks = {"student": soft(0, 0, 1), "teacher": soft(0, 1, 0)}
    metrics = found_of(clip(3), masks)
    assert metrics["empty_frames/student_vs_teacher"] == 1
    assert metrics["dice/student_vs_teacher"] == pytest.approx(1 / 3)


def test_overlap_at_known_phases():
    made = clip(3, reference={0: 4, 1: 3, 2: 1}, ed=0, es=2)
    metrics = found_of(made, {"student": soft(4, 0, 2), "teacher": soft(1, 1, 4)})
    assert metrics["dice_ed/student_vs_reference"] == 1.0
    assert metrics["dice_es/student_vs_reference"] == pytest.approx(2 / 3)
    assert metrics["dice_es/student_vs_teacher"] == pytest.approx(2 / 3)
    assert metrics["iou_es/student_vs_reference"] == pytest.approx(1 / 2)


def test_unknown_phases_are_the_teachers():
    masks = {"student": soft(1, 2, 3, 4), "teacher": soft(2, 4, 1, 1)}
    frames = scored(clip(4), masks).phase_frames
    assert (frames.ed, frames.es, frames.source) == (1, 2, "teacher")


def test_without_a_teacher_unknown_phases_are_the_students():
    frames = scored(clip(3), {"student": soft(2, 1, 3)}).phase_frames
    assert (frames.ed, frames.es, frames.source) == (2, 1, "student")


def test_known_phases_are_kept():
    frames = scored(clip(3, ed=1, es=0), {"teacher": soft(3, 2, 1)}).phase_frames
    assert (frames.ed, frames.es, frames.source) == (1, 0, "known")


def test_frame_distances():
    # The student's largest frame is 1, its smallest 4; the truth is 0 and 4, the teacher's 2 and 5.
    made = clip(6, ed=0, es=4)
    masks = {"student": soft(3, 4, 3, 2, 0, 1), "teacher": soft(2, 3, 4, 2, 2, 1)}
    metrics = found_of(made, masks)
    assert metrics["afd_ed/student_vs_reference"] == 1
    assert metrics["afd_es/student_vs_reference"] == 0
    assert metrics["afd_ed/student_vs_teacher"] == 1
    assert metrics["afd_es/student_vs_teacher"] == 1
    assert metrics["afd_ed/teacher_vs_reference"] == 2


def test_equal_masks_are_at_no_distance():
    mask = soft(3, 4, 4, 1, 2, 1, 4, 3)
    metrics = found_of(clip(8), {"student": mask, "teacher": mask.copy()})
    assert metrics["afd_ed/student_vs_teacher"] == metrics["afd_es/student_vs_teacher"] == 0
    assert metrics["dice/student_vs_teacher"] == metrics["area_correlation/student_vs_teacher"] == 1


def test_ejection_fractions_by_areas():
    made = clip(2, reference={0: 4, 1: 2}, ed=0, es=1, ef=55.0)
    metrics = found_of(made, {"student": soft(4, 1)})
    assert metrics["ef_area/student"] == 75.0
    assert metrics["ef_area/reference"] == 50.0
    assert metrics["ef_area_error/student_vs_recorded"] == 20.0


def test_ejection_fractions_by_disks():
    # Bars 4 high, 4 and 2 wide: cylinders of 16 pi and 4 pi cubic pixels (the wide one is square,
    # the narrow one lies along the height).
    metrics = found_of(clip(2, ed=0, es=1), {"student": soft(4, 2)})
    assert metrics["ef_disks/student"] == pytest.approx(75.0, abs=1e-6)


def test_areas_follow_the_reference_only_where_all_frames_have_one():
    masks = {"student": soft(3, 2, 1)}
    whole = found_of(clip(3, reference={0: 4, 1: 3, 2: 2}), masks)
    part = found_of(clip(3, reference={0: 4, 2: 2}), masks)
    assert whole["area_correlation/student_vs_reference"] == pytest.approx(1)
    assert math.isnan(part["area_correlation/student_vs_reference"])


def test_every_model_is_compared_with_the_teacher_but_itself():
    masks = {"student": soft(2), "teacher": soft(2), "labeller": soft(1)}
    metrics = found_of(clip(1), masks)
    assert metrics["dice/labeller_vs_teacher"] == pytest.approx(2 / 3)
    assert "dice/teacher_vs_teacher" not in metrics


def test_area_curves():
    curves = scored(clip(3, reference={1: 3}), {"student": soft(1, 2, 0)}).lv.areas_px
    assert curves["student"].tolist() == [4, 8, 0]
    np.testing.assert_array_equal(curves["reference"], [np.nan, 12, np.nan])


def test_calibration_is_counted_against_what_the_clip_has():
    masks = {"student": soft(2, 4), "teacher": soft(4, 4)}
    calibration = EVALUATORS["calibration"]

    def reliability_of(made):
        found = calibration.clip(scored(made, masks))
        found = calibration.summarise([found], models=[], num_samples=1, seed=0)
        return found["reliability"]

    assert reliability_of(clip(2)).keys() == {"student_vs_teacher"}
    found = reliability_of(clip(2, reference={1: 3}))
    assert found.keys() == {"student_vs_teacher", "student_vs_reference", "teacher_vs_reference"}
    # 4 x 4 pixels that the student is sure of, a quarter of them wrongly.
    assert found["student_vs_reference"]["pixels"][-1] == 16
    assert found["student_vs_reference"]["frequency"][-1] == 0.75
    # All pixels of both frames are the teacher's, the student gives 8 of them 0.
    assert found["student_vs_teacher"]["pixels"][0] == 8
    assert found["student_vs_teacher"]["frequency"][0] == 1.0


def test_two_evaluators_may_not_give_the_same_name():
    twice = {"one": EVALUATORS["phase"], "two": EVALUATORS["phase"]}
    with pytest.raises(UserError, match=r"config\.eval\.evaluators: 'two' gives 'afd_ed/"):
        find_all(twice, scored(clip(2), {"student": soft(2, 1)}))


def test_an_unknown_evaluator_is_named():
    with pytest.raises(UserError, match=r"config\.eval\.evaluators='overlpa'.*overlap"):
        open_evaluators(["overlpa"])


def test_ejection_fractions_are_correlated_with_the_recorded_and_the_teachers():
    assert ejection_fraction_pairs(["student", "teacher"]) == {
        "ef_area/student_vs_recorded": ("ef_area/student", "ef/recorded"),
        "ef_area/student_vs_teacher": ("ef_area/student", "ef_area/teacher"),
        "ef_area/teacher_vs_recorded": ("ef_area/teacher", "ef/recorded"),
        "ef_disks/student_vs_recorded": ("ef_disks/student", "ef/recorded"),
        "ef_disks/student_vs_teacher": ("ef_disks/student", "ef_disks/teacher"),
        "ef_disks/teacher_vs_recorded": ("ef_disks/teacher", "ef/recorded"),
    }
