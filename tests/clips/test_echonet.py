import os
import pathlib
import pickle
import shutil

import numpy as np
import pytest

from echodfkd_jax.clips import echonet, layout_report, video
from echodfkd_jax.errors import UserError
from tests.clips import echonet_folder

# EchoNet clips may not be passed on: whoever has some says where.
REAL_CLIPS = pathlib.Path(os.environ.get("ECHODFKD_REAL_CLIPS", "not set"))


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return echonet_folder.build(tmp_path_factory.mktemp("echonet") / "EchoNet-Dynamic")


@pytest.fixture(scope="module")
def clips(folder):
    return echonet.open_folder(folder, min_frames=25)


def _entry(clips, name):
    return next(entry for entry in clips.entries if entry.row.name == name)


def _clip(clips, name):
    return clips[clips.entries.index(_entry(clips, name))]


@pytest.mark.parametrize("rule", echonet_folder.EXPECTED_COUNTS)
def test_defect_is_counted(clips, rule):
    assert clips.report.count(rule) == echonet_folder.EXPECTED_COUNTS[rule]


def test_numbers_of_clips(clips):
    assert len(clips) == clips.report.num_used == 26
    assert clips.report.num_listed == 34
    assert clips.report.num_left_out == 10  # 8 listed and 2 that are not


def test_report_names_clips_and_reasons(clips):
    report = clips.report.to_json()
    assert report["left_out"]["truncated"]["clips"] == ["0XTRUNCATED0", "0XTRUNCATED1"]
    assert report["used"]["resized"]["clips"] == ["0XWIDE0", "0XWIDE1"]
    assert report["reasons"]["0XSHORT0"] == "10 frames; a window has 25"
    assert report["reasons"]["0XMASKLENGTH0"] == "0XMASKLENGTH0.seg.npz: 27 masks for 30 frames"


def test_every_rule_is_explained_in_the_report(clips):
    report = clips.report.to_json()
    explained = {**report["left_out"], **report["used"], **report["tables"]}
    assert set(explained) == set(layout_report.ECHONET.all)


def test_an_unknown_rule_is_a_bug():
    with pytest.raises(KeyError, match="mising"):
        layout_report.LayoutReport("f").note("mising", "clip")


def test_sound_clip(clips):
    clip = _clip(clips, "0X0000000000000000")
    assert clip.frames.shape == (30, 112, 112)
    assert (clip.fps, clip.ef_percent, clip.edv_ml, clip.esv_ml) == (50.0, 50.0, 120.0, 60.0)
    assert (clip.ed_frame, clip.es_frame) == (3, 12)
    assert clip.reference_frames.tolist() == [3, 12]
    assert clip.teacher_mask.shape == (30, 112, 112, 1)


def test_tracing_covers_the_drawn_ventricle(clips):
    clip = _clip(clips, "0X0000000000000000")
    drawn = echonet_folder.beat(30)[1] > 0
    assert (clip.reference_masks[0, ..., 0] & drawn[3]).sum() > 0.93 * drawn[3].sum()
    assert (clip.reference_masks[0, ..., 0] & ~drawn[3]).sum() < 0.03 * drawn[3].sum()


def test_ed_is_the_larger_polygon_whatever_the_order(clips):
    entry = _entry(clips, "0XSWAPPED0")
    assert list(entry.traces) == [12, 3]
    assert (entry.ed_frame, entry.es_frame) == (3, 12)


def test_first_annotator_is_used(clips):
    several = _entry(clips, "0XANNOTATORS0").traces[3]
    np.testing.assert_allclose(several, echonet_folder.trace_rows(3), atol=1e-4)


def test_untraced_clip_has_no_reference(clips):
    clip = _clip(clips, "0XUNTRACED0")
    assert clip.reference_masks.shape == (0, 112, 112, 1)
    assert (clip.ed_frame, clip.es_frame) == (-1, -1)


def test_one_traced_frame_gives_no_phases(clips):
    clip = _clip(clips, "0XINCOMPLETE0")
    assert clip.reference_frames.tolist() == [12]
    assert (clip.ed_frame, clip.es_frame) == (-1, -1)


def test_tracing_of_a_resized_clip_follows_the_pixels(clips):
    clip = _clip(clips, "0XWIDE1")
    assert clip.frames.shape == (30, 112, 112)
    ventricle = clip.teacher_mask[3, ..., 0] > 127
    union = (clip.reference_masks[0, ..., 0] | ventricle).sum()
    assert (clip.reference_masks[0, ..., 0] & ventricle).sum() > 0.93 * union


def test_clip_that_lacks_its_last_frame_is_used(clips):
    assert len(_clip(clips, "0XCLIPPED0").frames) == 29


def test_mask_of_another_length_is_not_used(clips):
    assert _clip(clips, "0XMASKLENGTH0").teacher_mask is None
    assert _clip(clips, "0XNOMASK0").teacher_mask is None


def test_split_selects_its_rows_whatever_their_case(folder, clips):
    by_split = {split: echonet.open_folder(folder, split) for split in echonet.SPLIT_NAMES}
    assert {split: c.report.num_listed for split, c in by_split.items()} == {
        "train": 18,
        "validation": 8,
        "test": 8,
    }
    assert {entry.row.split for entry in by_split["train"].entries} == {"TRAIN"}


def test_short_clips_are_used_where_no_window_is_asked_for(folder):
    assert len(echonet.open_folder(folder)) == 28


def test_unpacked_download_is_found_in_its_own_folder(folder):
    assert echonet.find_folder(folder.parent) == folder


def test_two_data_sets_in_one_folder_are_refused(folder, tmp_path):
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        shutil.copy(folder / "FileList.csv", tmp_path / name)
    with pytest.raises(UserError, match=r"holds 2 folders with FileList\.csv"):
        echonet.find_folder(tmp_path)


def test_clips_survive_pickling(clips):
    copy = pickle.loads(pickle.dumps(clips))
    np.testing.assert_array_equal(copy[0].frames, clips[0].frames)


def test_folder_without_tables(folder, tmp_path):
    for number in range(3):
        source = folder / "Videos" / f"0X{number:016X}.avi"
        shutil.copy(source, tmp_path / f"clip {number}.AVI")
    (tmp_path / "._clip 0.AVI").write_bytes(b"what macOS leaves behind")
    clips = echonet.open_folder(tmp_path)
    assert [entry.row.name for entry in clips.entries] == ["clip 0", "clip 1", "clip 2"]
    assert clips[0].fps == 50.0  # from the container
    assert np.isnan(clips[0].ef_percent)


def test_folder_without_tables_knows_no_split(tmp_path):
    with pytest.raises(UserError, match=r"FileList\.csv: no such file.*'test'"):
        echonet.open_folder(tmp_path, "test")


def test_empty_folder_is_refused(tmp_path):
    with pytest.raises(UserError, match=r"holds neither FileList\.csv nor a video"):
        echonet.open_folder(tmp_path)


def test_absent_folder_is_refused(tmp_path):
    with pytest.raises(UserError, match="absent: no such folder"):
        echonet.open_folder(tmp_path / "absent")


def test_echonet_synthetic_quirks(tmp_path):
    # The container says 30 frames a second, the sizes are wrong, volumes of 0 mean unknown.
    (tmp_path / "Videos").mkdir()
    frames = echonet_folder.beat(30)[0]
    echonet_folder.video.write_avi(tmp_path / "Videos" / "sample_000000.avi", frames, 30.0)
    (tmp_path / "FileList.csv").write_text(
        "FileName,EF,ESV,EDV,FrameHeight,FrameWidth,FPS,NumberOfFrames,Split\n"
        "sample_000000,63,0,0,128,128,32,64,TRAIN\n"
    )
    clip = echonet.open_folder(tmp_path)[0]
    assert (clip.fps, clip.ef_percent) == (32.0, 63.0)
    assert np.isnan(clip.edv_ml)
    assert np.isnan(clip.esv_ml)
    assert clip.frames.shape == (30, 112, 112)


def build_pediatric(folder):
    """EchoNet-Pediatric: two views, ten numbered folds, outlines."""
    for view in ("A4C", "PSAX"):
        (folder / view / "Videos").mkdir(parents=True)
        listed = ["FileName,EF,Sex,Age,Weight,Height,Split"]
        traced = ["FileName,X,Y,Frame"]
        for fold in range(10):
            name = f"CR{view}{fold}.avi"
            video.write_avi(folder / view / "Videos" / name, echonet_folder.beat(20)[0], 50.0)
            listed.append(f"{name},{60 + fold}.5,M,7,20,120,{fold}")
            for frame in (3, 12):
                rows = echonet_folder.trace_rows(frame)[1:]
                points = [row[:2] for row in rows] + [row[2:] for row in rows[::-1]]
                traced += [f"{name},{x:.3f},{y:.3f},{frame}" for x, y in points]
        traced.append(f"CR{view}0.avi,,,No Systolic")
        (folder / view / "FileList.csv").write_text("\n".join(listed) + "\n")
        (folder / view / "VolumeTracings.csv").write_text("\n".join(traced) + "\n")
    return folder


def test_the_pediatric_layout(tmp_path):
    clips = echonet.open_folder(build_pediatric(tmp_path / "pediatric_echo_avi"), "test")
    assert clips.folder.name == "A4C"
    (clip,) = clips
    assert (clip.name, clip.ef_percent, clip.ed_frame, clip.es_frame) == ("CRA4C9", 69.5, 3, 12)
    drawn = echonet_folder.beat(20)[1] > 0
    assert (clip.reference_masks[0, ..., 0] & drawn[3]).sum() > 0.93 * drawn[3].sum()
    assert len(echonet.open_folder(tmp_path, "train")) == 8


def test_fractions_are_told(tmp_path):
    folder = echonet_folder.build_synthetic(tmp_path / "a", num_clips=2, num_frames=6)
    table = folder / "FileList.csv"
    table.write_text(table.read_text().replace(",10,0,", ",0.10,0,").replace(",11,0,", ",0.11,0,"))
    clips = echonet.open_folder(folder)
    assert [clip.ef_percent for clip in clips] == pytest.approx([10, 11])
    assert clips.report.count("ef_fraction") == 2


@pytest.mark.skipif(not REAL_CLIPS.is_dir(), reason="ECHODFKD_REAL_CLIPS is not set")
def test_real_clips():
    clips = echonet.open_folder(REAL_CLIPS, "test")
    shapes = {clip.name: clip.frames.shape for clip in clips}
    known = {
        "0X10A28877E97DF540": (211, 112, 112),
        "0X129133A90A61A59D": (133, 112, 112),
        "0X13CE2039E2D706A": (215, 112, 112),
        "0X1E12EEE43FD913E5": (145, 112, 112),
    }
    assert known.items() <= shapes.items()
    assert all(clip.teacher_mask.shape == (*clip.frames.shape, 1) for clip in clips)


def test_everything_that_lies_there_is_told(tmp_path):
    frames = echonet_folder.beat(20)[0]
    linked, folder = tmp_path / "elsewhere", tmp_path / "clips"
    linked.mkdir()
    folder.mkdir()
    video.write_avi(folder / "a.avi", frames, 50.0)
    video.write_avi(linked / "b.avi", frames, 50.0)
    (folder / "more").symlink_to(linked)
    (linked / "back").symlink_to(folder)
    (folder / "c.avi").write_bytes(b"no video at all" * 20)
    (folder / "d.avi").symlink_to(folder / "gone.avi")
    (folder / "notes.txt").write_text("")
    report = echonet.open_folder(folder).report
    assert (report.num_listed, report.num_used, report.num_left_out) == (4, 2, 2)
    assert [clip["name"] for clip in report.left_out()] == ["c", "d"]
    lines = report.lines()
    assert any("left out: c: " in line and "not readable as a video" in line for line in lines)
    assert any("left out: d: " in line and "no such file" in line for line in lines)
    assert lines[-1] == "passed over: 1 .txt file (notes.txt)"


def test_a_name_that_is_no_text_becomes_one(tmp_path):
    path = tmp_path / "a.avi"
    video.write_avi(path, echonet_folder.beat(20)[0], 50.0)
    path.rename(tmp_path / os.fsdecode(b"caf\xe9.avi"))
    (clip,) = echonet.open_folder(tmp_path)
    assert clip.name == "caf\\udce9"
