import math

import numpy as np
import pytest

from echodfkd_jax.measurement.clip_report import report_clip
from tests.clips import echonet_folder


def test_ejection_fraction_of_every_beat():
    # Semi-axes 22 x 33 at ED (frames 3, 21, 39) and 14 x 23 at ES (frames 12, 30, 48).
    _, mask = echonet_folder.beat(60)
    report = report_clip(mask, fps=50.0)
    assert [(beat.ed_frame, beat.es_frame) for beat in report.beats] == [
        (3, 12),
        (21, 30),
        (39, 48),
    ]
    by_area = 100 * (1 - (14 * 23) / (22 * 33))
    by_disks = 100 * (1 - (14**2 * 23) / (22**2 * 33))
    assert report.ef_area_percent == pytest.approx(by_area, abs=1)
    assert report.ef_disks_percent == pytest.approx(by_disks, abs=1)
    assert report.beat_length_frames == pytest.approx(18)
    assert report.heart_rate_per_min == pytest.approx(60 * 50 / 18)
    assert report.confidence > 0.9
    assert report.remarks == ()


def test_volumes_need_the_pixel_spacing():
    _, mask = echonet_folder.beat(40)
    assert math.isnan(report_clip(mask).beats[0].edv_ml)
    volume = report_clip(mask, pixel_spacing_mm=1.0).beats[0].edv_ml
    assert volume == pytest.approx(4 / 3 * math.pi * 22**2 * 33 / 1000, rel=0.02)


def test_a_still_clip_has_no_ejection_fraction():
    mask = np.repeat(echonet_folder.beat(1)[1], 40, axis=0)
    report = report_clip(mask)
    assert math.isnan(report.ef_disks_percent)
    assert report.confidence == 0.0
    assert report.remarks == ("No contraction was found, so there is no ejection fraction.",)


def test_scattered_masks_do_not_look_like_a_ventricle():
    mask = (np.random.default_rng(0).random((30, 112, 112)) < 0.2).astype(np.uint8) * 255
    assert any("apical four-chamber" in remark for remark in report_clip(mask).remarks)


def test_a_clip_without_any_mask_does_not_look_like_a_ventricle():
    report = report_clip(np.zeros((30, 112, 112), np.uint8))
    assert len(report.remarks) == 2


def test_unsure_masks_do_not_look_like_a_ventricle():
    _, mask = echonet_folder.beat(40)
    mask = np.where(mask > 0, 140, 0).astype(np.uint8)
    report = report_clip(mask)
    assert any("apical four-chamber" in remark for remark in report.remarks)
    assert report.confidence <= 0.5


def test_a_clip_of_less_than_a_beat_says_so():
    _, mask = echonet_folder.beat(40)
    report = report_clip(mask[3:18])  # From the largest frame to halfway up again.
    assert len(report.beats) == 1
    assert "does not show one whole beat" in report.remarks[0]


def test_one_whole_beat_is_told():
    _, mask = echonet_folder.beat(40)
    report = report_clip(mask[3:23], fps=20.0)  # From one end-diastole to the next.
    assert len(report.beats) == 1
    assert any("one whole beat only" in remark for remark in report.remarks)
    assert 0 < report.confidence <= 0.5
    assert math.isnan(report.heart_rate_per_min)


def test_an_irregular_rhythm_is_told():
    _, mask = echonet_folder.beat(40)
    rest = np.repeat(mask[21:22], 12, axis=0)  # At end-diastole.
    beat = mask[3:21]
    report = report_clip(np.concatenate([beat, beat, rest, beat, rest, beat, beat]), fps=25.0)
    remark = next(remark for remark in report.remarks if "irregular" in remark)
    assert "a minute)" in remark
    assert 0 < report.confidence <= 0.5


def test_a_begun_contraction_alone_is_told():
    _, mask = echonet_folder.beat(40)
    report = report_clip(mask[6:22], fps=20.0)
    assert report.beats == ()
    assert "had begun before the first frame" in report.remarks[0]
