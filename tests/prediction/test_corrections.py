import json

import numpy as np
import pytest

from echodfkd_jax.clips import echonet
from echodfkd_jax.errors import UserError
from echodfkd_jax.prediction import corrections as correcting
from echodfkd_jax.prediction import outlines
from echodfkd_jax.reporting.predictions import numbers
from tests.clips import echonet_folder
from tests.prediction.made_prediction import NUM_FRAMES, predicted

SQUARE = [[40.0, 30.0], [72.0, 30.0], [72.0, 80.0], [40.0, 80.0]]


def parsed(**content):
    return correcting.parse({"outlines": {}, "beats": None, **content}, NUM_FRAMES)


def test_json_comes_back():
    content = {"outlines": {"2": SQUARE, "11": SQUARE}, "beats": [[3, 12], [21, 30]]}
    made = correcting.parse(content, NUM_FRAMES)
    assert list(made.outlines) == [2, 11]
    assert correcting.to_json(made) == content
    assert correcting.to_json(parsed()) is None
    assert correcting.to_json(parsed(beats=[])) == {"outlines": {}, "beats": []}


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (None, 'has "outlines" by frame'),
        ([], 'has "outlines" by frame'),
        ({"outlines": []}, 'has "outlines" by frame'),
        ({"outlines": {"40": SQUARE}}, "frame 40: expected 0 to 39"),
        ({"outlines": {"-1": SQUARE}}, "frame '-1' of an outline"),
        ({"outlines": {"x" * 99: SQUARE}}, f"frame '{'x' * 20}' of an outline"),
        ({"outlines": {"2": SQUARE[:2]}}, "frame 2: expected 3 to 64 points x, y, not 2"),
        ({"outlines": {"2": SQUARE * 17}}, "frame 2: expected 3 to 64 points x, y, not 68"),
        ({"outlines": {"2": None}}, "frame 2: expected 3 to 64 points"),
        ({"outlines": {"2": [[1, 2, 3]] * 4}}, "frame 2: expected 3 to 64 points"),
        ({"outlines": {"2": [[1, "2"]] * 4}}, "in the frame, 0 to 111"),
        ({"outlines": {"2": [[1, True]] * 4}}, "in the frame, 0 to 111"),
        ({"outlines": {"2": [[1, 10**400]] * 4}}, "in the frame, 0 to 111"),
        ({"outlines": {"2": [[1, float("nan")]] * 4}}, "in the frame, 0 to 111"),
        ({"outlines": {"2": [[1.4, 2.4]] * 4}}, "frame 2 has no pixel inside"),
        ({"outlines": {}, "beats": 3}, "expected a list of end-diastole"),
        ({"outlines": {}, "beats": [[3]]}, "expected a list of end-diastole"),
        ({"outlines": {}, "beats": [[3, 40]]}, "frame 40: expected 0 to 39"),
        ({"outlines": {}, "beats": [[3, 3.5]]}, "frame 3.5: expected 0 to 39"),
        ({"outlines": {}, "beats": [[12, 3]]}, "beat 1: end-diastole 12, end-systole 3"),
        ({"outlines": {}, "beats": [[3, 12], [11, 20]]}, "beat 2: .*from frame 12 on"),
    ],
)
def test_what_is_no_correction_is_one_line(content, reason):
    with pytest.raises(UserError, match=reason) as error:
        correcting.parse(content, NUM_FRAMES)
    assert "\n" not in str(error.value)


def test_nothing_corrected_measures_the_same():
    found = predicted()
    masks = correcting.corrected_masks(found, parsed())
    assert (masks.masks == found.masks.masks).all()
    again = correcting.remeasure(found, masks, parsed())
    assert numbers(again, masks) == numbers(found.report, found.masks)


def test_named_beats_are_measured_as_they_are_named():
    found = predicted()
    named = parsed(beats=[[5, 12], [21, 28]])
    report = correcting.remeasure(found, found.masks, named)
    assert [(beat.ed_frame, beat.es_frame) for beat in report.beats] == [(5, 12), (21, 28)]
    assert report.ef_disks_percent < found.report.ef_disks_percent  # Nearer to one another.
    same = [[beat.ed_frame, beat.es_frame] for beat in found.report.beats]
    again = correcting.remeasure(found, found.masks, parsed(beats=same))
    assert again.ef_disks_percent == found.report.ef_disks_percent


def test_without_beats_there_is_no_ejection_fraction():
    found = predicted()
    report = correcting.remeasure(found, found.masks, parsed(beats=[]))
    assert np.isnan(report.ef_disks_percent)
    assert report.confidence == 0


def test_a_corrected_outline_replaces_the_mask_of_its_frame_and_no_other():
    found = predicted(structures=("lv", "la"))
    before = found.masks.masks.copy()
    masks = correcting.corrected_masks(found, parsed(outlines={"12": SQUARE}))
    drawn = outlines.fill(np.array(SQUARE), 112)
    assert (masks.of("lv")[12] == np.where(drawn, 255, 0)).all()
    assert (masks.of("la") == before[..., 1]).all()
    others = np.arange(NUM_FRAMES) != 12
    assert (masks.of("lv")[others] == before[others, ..., 0]).all()
    assert (found.masks.masks == before).all()  # The prediction stays.


def test_a_larger_end_systole_is_a_smaller_ejection_fraction():
    found = predicted()
    beats = [[beat.ed_frame, beat.es_frame] for beat in found.report.beats]
    larger = (np.array(SQUARE) - 56) * 1.2 + 56
    made = parsed(outlines={"12": larger.tolist()}, beats=beats)
    report = correcting.remeasure(found, correcting.corrected_masks(found, made), made)
    assert report.beats[0].ef_disks_percent < found.report.beats[0].ef_disks_percent - 10
    assert report.beats[1].ef_disks_percent == found.report.beats[1].ef_disks_percent


def test_the_folder_is_read_as_any_other_in_its_layout(tmp_path):
    found = predicted()
    shown = outlines.of_mask(found.mask[12], 16)
    made = parsed(outlines={"12": shown.tolist(), "3": SQUARE})
    correcting.write_folder(tmp_path, [("a", found, made)])
    clips = echonet.open_folder(tmp_path)
    assert clips.report.to_json()["num_used"] == 1
    clip = clips[0]
    assert clip.reference_frames.tolist() == [3, 12]
    assert (clip.name, clip.fps) == ("a", 50)
    np.testing.assert_allclose(clip.frames.astype(int), found.fitted.frames, atol=12)  # JPEG.
    for mask, points in zip(clip.reference_masks[..., 0], (SQUARE, shown)):
        drawn = outlines.fill(np.array(points), 112)
        assert 2 * (mask & drawn).sum() / (mask.sum() + drawn.sum()) > 0.97
    expected = correcting.corrected_masks(found, made).masks
    assert (clip.teacher_mask == expected).all()


def test_a_clip_without_a_frame_rate_is_written_too(tmp_path):
    found = predicted(fps=float("nan"))
    correcting.write_folder(tmp_path, [("a", found, parsed(outlines={"3": SQUARE}))])
    assert echonet.open_folder(tmp_path)[0].fps == 25


def test_the_made_up_clip_is_what_the_other_tests_say():
    beats = predicted().report.beats
    assert [beat.ed_frame for beat in beats] == [echonet_folder.ED_FRAME, 21]
    assert json.dumps(correcting.to_json(parsed(outlines={"3": SQUARE})))
