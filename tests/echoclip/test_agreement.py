"""A judge whose embeddings are known shows that the scores measure what they claim.

The drawn heart: cavity 200, wall around it 100, the rest 50, and the valve's state in the corner
pixel (255 closed, 0 open). The judge looks at grey levels alone.
"""

import itertools

import numpy as np
import pytest

from echodfkd_jax.echoclip import Judge
from echodfkd_jax.echoclip.agreement import (
    agreement,
    erasure_scores,
    linear_pairs,
    rank_both,
    rank_pairs,
)
from echodfkd_jax.echoclip.prompts import embed_prompts
from echodfkd_jax.measurement.phase import area_px, estimate_ed, estimate_es

NUM_FRAMES = 48
PERIOD_FRAMES = 24
END_SYSTOLE, END_DIASTOLE = 12, 24  # of the drawn beats, among others a period away
TEXTS = {
    "THE MITRAL VALVE IS CLOSED": 0,
    "THE MITRAL VALVE IS OPEN": 1,
    "WALL": 2,
    "NOTHING": 3,
    "LEFT VENTRICLE": 4,
    "LEFT ATRIUM": 6,
    "RIGHT VENTRICLE": 6,
    "RIGHT ATRIUM": 6,
}


class DrawnHeartJudge:
    """Axes: valve closed, valve open, wall, nothing, ventricle, EF 60, and the rest."""

    name = "drawn"
    fingerprint = "drawn-1"

    def embed_images(self, frames):
        closed = frames[:, 0, 0] / 255
        cavity = (frames == 200).sum(axis=(1, 2)) / 3000
        wall = (frames == 100).sum(axis=(1, 2)) / 3000
        black = (frames[:, 1:] == 0).sum(axis=(1, 2)) / 3000
        known = np.stack([closed, 1 - closed, wall, black, cavity, 0 * closed + 0.5], axis=1) / 4
        rest = np.sqrt(1 - (known**2).sum(axis=1, keepdims=True))
        return np.concatenate([known, rest], axis=1).astype(np.float32)

    def embed_texts(self, texts):
        rows = np.zeros((len(texts), 7), np.float32)
        for row, text in zip(rows, texts):
            if text in TEXTS:
                row[TEXTS[text]] = 1
            else:
                percent = int("".join(filter(str.isdigit, text)))
                row[5] = 1 - abs(percent - 60) / 100
        return rows


def radius_px(frame):
    return 25 + 5 * np.cos(2 * np.pi * frame / PERIOD_FRAMES)


def disks(radii, centre_x=56):
    y, x = np.mgrid[:112, :112]
    return (x - centre_x) ** 2 + (y - 56) ** 2 <= np.asarray(radii)[:, None, None] ** 2


def drawn_heart():
    radii = radius_px(np.arange(NUM_FRAMES))
    frames = np.full((NUM_FRAMES, 112, 112), 50, np.uint8)
    frames[disks(radii + 5)] = 100
    frames[disks(radii)] = 200
    frames[:, 0] = 50
    # The ventricle shrinks in the first half of each beat: then the valve is closed.
    frames[:, 0, 0] = np.where(np.arange(NUM_FRAMES) % PERIOD_FRAMES < PERIOD_FRAMES // 2, 255, 0)
    return frames


def heart_mask(*, shift_px=0, delay_frames=0, missing_px=0):
    radii = radius_px(np.arange(NUM_FRAMES) - delay_frames) - missing_px
    return np.where(disks(radii, centre_x=56 + shift_px), 255, 0).astype(np.uint8)


def find_frame(mask, name, reference):
    rule = {"ed": estimate_ed, "es": estimate_es}[name]
    return rule(area_px(mask), reference)


def judged(**masks):
    judge = DrawnHeartJudge()
    return agreement(judge, embed_prompts(judge), drawn_heart(), masks, find_frame=find_frame)


def test_the_drawn_heart_judge_is_a_judge():
    assert isinstance(DrawnHeartJudge(), Judge)


def test_the_judges_phases_are_the_drawn_ones():
    metrics = judged(student=heart_mask())
    assert abs(metrics["es_frame/drawn"] % PERIOD_FRAMES - END_SYSTOLE) <= 1
    assert min(metrics["ed_frame/drawn"] % PERIOD_FRAMES, 1) <= 1
    assert metrics["afd_es/student_vs_drawn"] <= 1
    assert metrics["afd_ed/student_vs_drawn"] <= 1


def test_the_judges_ejection_fraction_is_the_one_it_was_given():
    # Forty prompts nearest 60 %: 41..60..79 twice; the average at each rank is one prompt's.
    assert judged()["ef/drawn"] == 60


def test_only_the_asked_metrics_are_there():
    assert set(judged(student=heart_mask())) == {
        "ef/drawn",
        "ed_frame/drawn",
        "es_frame/drawn",
        "erasure/no_mask",
        "afd_ed/student_vs_drawn",
        "afd_es/student_vs_drawn",
        "erasure_as_released/student",
        "erasure_dilated/student",
    }


def test_other_chambers_are_asked_about_by_their_own_names():
    judge, mask = DrawnHeartJudge(), heart_mask()
    prompts, masks = embed_prompts(judge), {"student": mask}
    others = {"la": masks, "lv": masks, "lv_myocardium": masks}
    found = agreement(judge, prompts, drawn_heart(), masks, find_frame=find_frame, others=others)
    # The same pixels painted black; the "atrium" (all that is no part of the heart) is still there.
    assert found["la/erasure_dilated/student"] < found["erasure_dilated/student"]
    assert found["la/erasure/no_mask"] < found["la/erasure_dilated/student"]
    named = {name.split("/")[0] for name in found if name.count("/") == 2}
    assert named == {"la"}  # There is no sentence about the muscle.
    pairs = rank_pairs("drawn", ["student"], ["lv", "la"])
    assert pairs["la/rank/erasure_dilated/student_vs_dice"] == (
        "la/erasure_dilated/student",
        "la/dice/student_vs_reference",
    )


@pytest.mark.parametrize("score", ["erasure_as_released", "erasure_dilated"])
def test_erasure_scores_fall_with_every_shift_of_the_mask(score):
    values = [
        judged(student=heart_mask(shift_px=shift))[f"{score}/student"] for shift in (0, 3, 6, 12)
    ]
    assert all(nearer - farther > 0.01 for nearer, farther in itertools.pairwise(values)), values


def test_no_mask_scores_lower_than_the_right_one():
    metrics = judged(student=heart_mask())
    assert metrics["erasure_as_released/student"] > metrics["erasure/no_mask"] + 0.1


def test_the_dilated_erasure_forgives_a_rim_of_cavity():
    metrics = judged(student=heart_mask(missing_px=2))
    assert metrics["erasure_dilated/student"] > metrics["erasure_as_released/student"] + 0.05


def test_an_empty_mask_scores_as_no_mask():
    metrics = judged(student=np.zeros((NUM_FRAMES, 112, 112), np.uint8))
    assert metrics["erasure_as_released/student"] == metrics["erasure/no_mask"]
    assert metrics["erasure_dilated/student"] == metrics["erasure/no_mask"]


@pytest.mark.parametrize("metric", ["afd_ed/student_vs_drawn", "afd_es/student_vs_drawn"])
def test_frame_distances_grow_with_every_delay_of_the_mask(metric):
    values = [judged(student=heart_mask(delay_frames=delay))[metric] for delay in (0, 2, 4, 8)]
    assert all(later > sooner for sooner, later in itertools.pairwise(values)), values


def test_masks_are_binarised_above_127():
    mask = heart_mask() > 0
    metrics = judged(faint=mask * np.uint8(127), firm=mask * np.uint8(128))
    assert metrics["erasure_as_released/faint"] == metrics["erasure/no_mask"]
    assert metrics["erasure_as_released/firm"] > metrics["erasure/no_mask"]


def test_a_step_looks_at_fewer_frames():
    judge = DrawnHeartJudge()
    prompts = embed_prompts(judge)
    region = heart_mask()[::4] > 127
    expected = erasure_scores(judge, prompts.erasure["lv"], drawn_heart()[::4], region)
    metrics = agreement(
        judge, prompts, drawn_heart(), {"student": heart_mask()},
        find_frame=find_frame, erasure_step_frames=4,
    )  # fmt: skip
    assert metrics["erasure_dilated/student"] == expected["erasure_dilated"]


def test_a_clip_without_frames_gives_unknowns():
    judge = DrawnHeartJudge()
    empty = np.zeros((0, 112, 112), np.uint8)
    metrics = agreement(
        judge, embed_prompts(judge), empty, {"student": empty}, find_frame=find_frame
    )
    assert all(np.isnan(value) for value in metrics.values())


def test_pairs_use_the_names_of_the_metrics():
    models = ("student", "teacher")
    pairs = linear_pairs("drawn", models) | rank_pairs("drawn", models)
    names = {name for pair in pairs.values() for name in pair}
    made = set(judged(student=heart_mask(), teacher=heart_mask()))
    others = {"ef_area/student", "ef_area/teacher", "ef/recorded"} | {
        f"{metric}/{name}_vs_reference"
        for metric in ("dice", "afd_ed", "afd_es")
        for name in models
    }
    assert names <= made | others
    assert pairs["ef_area/student_vs_drawn"] == ("ef_area/student", "ef/drawn")
    assert len(pairs) == 3 + 1 + 2 * 4


def test_ranks_are_among_the_clips_that_have_both_metrics():
    clips = [
        {"a": 5.0, "b": 0.1},
        {"a": 9.0, "b": 0.3},
        {"a": 1.0, "b": float("nan")},
        {"a": 2.0},
        {"a": 5.0, "b": 0.2},
    ]
    assert rank_both(clips, "a", "b") == [
        {"a": 1.5, "b": 1.0},
        {"a": 3.0, "b": 3.0},
        {"a": 1.5, "b": 2.0},
    ]
    assert rank_both([], "a", "b") == []
