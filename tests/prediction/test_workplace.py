import json

import cv2
import numpy as np

from echodfkd_jax.page.work import WorkClip as Wanted
from echodfkd_jax.prediction.workplace import write_corrections
from tests.prediction.made_prediction import NUM_FRAMES, predicted, work_clip
from tests.prediction.test_corrections import SQUARE

CORRECTED = {"outlines": {"12": SQUARE}, "beats": [[5, 12], [21, 30]]}


def test_it_is_what_the_page_wants():
    assert isinstance(work_clip(), Wanted)


def test_what_is_opened_is_json_with_an_outline_for_every_frame():
    opened = work_clip(structures=("lv", "la"), spacing_mm=float("nan")).opened()
    json.dumps(opened, allow_nan=False)
    assert set(opened["outlines"]) == {"lv", "la"}
    assert np.shape(opened["outlines"]["lv"]) == (NUM_FRAMES, 48, 2)
    assert opened["predicted"]["pixel_spacing_mm"] == [None, None]


def test_pictures_show_the_files_own_pixels():
    for side, shown in ((80, 112), (200, 200), (600, 448)):
        pictures = work_clip(side=side).pictures()
        assert len(pictures) == NUM_FRAMES
        grey = cv2.imdecode(np.frombuffer(pictures[3], np.uint8), cv2.IMREAD_UNCHANGED)
        assert grey.shape == (shown, shown)


def test_pictures_of_an_exchanged_clip_are_as_the_student_saw_it():
    found = predicted(exchanged=True)
    (picture, *_) = work_clip(exchanged=True).pictures()
    grey = cv2.imdecode(np.frombuffer(picture, np.uint8), cv2.IMREAD_UNCHANGED)
    np.testing.assert_allclose(grey.astype(int), found.fitted.frames[0], atol=25)


def test_the_record_follows_the_corrections_and_the_prediction_stays():
    clip = work_clip()
    predicted_record = clip.opened()["predicted"]
    measured = clip.measured(CORRECTED)
    json.dumps(measured, allow_nan=False)
    record = measured["record"]
    assert measured["corrections"] == CORRECTED
    assert (record["corrected_frames"], record["beats_corrected"]) == ([12], True)
    assert record["area_px"][12] != predicted_record["area_px"][12]
    assert record["name"] == predicted_record["name"]
    pinned = {"outlines": {}, "beats": [[3, 12], [21, 30]]}  # Where they were found.
    assert clip.measured(pinned)["record"]["beats_corrected"] is False
    nothing = clip.measured(None)
    assert nothing["corrections"] is None
    assert nothing["record"] == nothing["record"] | predicted_record


def test_corrected_files_lie_beside_the_predicted_ones(tmp_path):
    clip = work_clip()
    suffixes = (".seg.npz", ".json", ".mp4", ".png")
    (tmp_path / "a").mkdir()
    clip.write_results(None, tmp_path / "a", "clip")
    assert {path.name for path in (tmp_path / "a").iterdir()} == {f"clip{s}" for s in suffixes}
    (tmp_path / "b").mkdir()
    clip.write_results(CORRECTED, tmp_path / "b", "clip")
    names = {f"{stem}{s}" for stem in ("clip", "clip.corrected") for s in suffixes}
    assert {path.name for path in (tmp_path / "b").iterdir()} == names
    first, second = (np.load(tmp_path / d / "clip.seg.npz")["arr_0"] for d in "ab")
    assert (first == second).all()
    corrected = np.load(tmp_path / "b" / "clip.corrected.seg.npz")["arr_0"]
    assert np.flatnonzero((corrected != first).any(axis=(1, 2))).tolist() == [12]
    record = json.loads((tmp_path / "b" / "clip.corrected.json").read_text())
    assert record["corrected_frames"] == [12]
    assert "not a medical device" in record["notice"]


def test_corrections_alone_say_where_beats_are_and_list_traced_clips_only(tmp_path):
    beats_only = {"outlines": {}, "beats": [[3, 12]]}
    write_corrections(
        tmp_path, [("a", work_clip("a"), CORRECTED), ("b", work_clip("b"), beats_only)]
    )
    assert json.loads((tmp_path / "corrections.json").read_text()) == {
        "a": CORRECTED,
        "b": beats_only,
    }
    found = {str(p.relative_to(tmp_path)) for p in tmp_path.rglob("*") if p.is_file()}
    assert found == {
        "corrections.json",
        "VolumeTracings.csv",
        "Videos/a.avi",
        "TeacherMasks/a.seg.npz",
    }
