import json
import os
import pathlib

import numpy as np
import pytest

from echodfkd_jax.clips import finding, video
from echodfkd_jax.errors import UserError
from tests.clips.dicom_file import write_dicom
from tests.clips.png_folder import save_pngs

FRAMES = np.random.default_rng(0).integers(0, 256, (5, 16, 24), dtype=np.uint8)
FIELD = "config.predict.inputs"


def find(pattern):
    return finding.find_clips(str(pattern), FIELD)


def names(found, folder):
    return [str(path.relative_to(folder)) for path in found.paths]


def avi(path):
    video.write_avi(path, FRAMES, 50.0)
    return path


def test_a_folder_gives_its_clips_and_says_what_else_is_there(tmp_path):
    (tmp_path / "deep").mkdir()
    avi(tmp_path / "b.avi")
    np.savez(tmp_path / "deep" / "a.npz", frames=FRAMES)
    np.savez(tmp_path / "b.seg.npz", FRAMES)
    write_dicom(tmp_path / "IM1", FRAMES)
    save_pngs(tmp_path / "stills", FRAMES)
    for name in ("readme.txt", "a.jpg", "b.jpg", "c.jpg", "d.jpg", "FileList.csv", "LICENSE"):
        (tmp_path / name).write_text("no clip")
    (tmp_path / ".hidden.avi").write_text("")
    found = find(tmp_path)
    assert names(found, tmp_path) == ["IM1", "b.avi", "deep/a.npz", "stills"]
    assert found.summary() == [
        "passed over: 1 .csv file (FileList.csv)",
        "passed over: 4 .jpg files (a.jpg, b.jpg, c.jpg, ...)",
        "passed over: 1 .seg.npz file (b.seg.npz)",
        "passed over: 1 .txt file (readme.txt)",
        "passed over: 1 files without a suffix (LICENSE)",
    ]


@pytest.mark.parametrize("suffix", [".avi", ".m4v", ".mkv", ".mpg", ".wmv"])
def test_a_screenshot_hides_no_clip(tmp_path, suffix):
    (tmp_path / f"a{suffix}").write_bytes(b"")
    save_pngs(tmp_path, FRAMES[:1], names=["screenshot"])
    found = find(tmp_path)
    assert names(found, tmp_path) == [f"a{suffix}"]
    assert found.summary() == ["passed over: 1 .png file (screenshot.png)"]


def test_pictures_beside_a_clip_are_none(tmp_path):
    avi(tmp_path / "a.avi")
    save_pngs(tmp_path, FRAMES)
    found = find(tmp_path)
    assert names(found, tmp_path) == ["a.avi"]
    assert len(found.passed_over[".png"]) == 5


@pytest.mark.parametrize(
    "pictures",
    [["thumbnail"], ["a", "b", "c", "d", "e"], ["0", "1"], [f"at 10.{i} and {i}" for i in "12345"]],
)
def test_pictures_that_are_no_sequence_are_no_clip(tmp_path, pictures):
    avi(tmp_path / "a.avi")
    save_pngs(tmp_path / "shots", FRAMES[: len(pictures)], names=pictures)
    found = find(tmp_path)
    assert names(found, tmp_path) == ["a.avi"]
    assert len(found.passed_over[".png"]) == len(pictures)


def test_pictures_of_several_sizes_are_no_sequence(tmp_path):
    avi(tmp_path / "a.avi")
    sizes = [FRAMES[0, : 8 + index] for index in range(5)]
    save_pngs(tmp_path / "shots", sizes)
    assert names(find(tmp_path), tmp_path) == ["a.avi"]


def test_a_sequence_with_something_beside_it_is_a_clip_where_it_is_named(tmp_path):
    avi(tmp_path / "a.avi")
    folder = save_pngs(tmp_path / "stills", FRAMES)
    (folder / "notes.txt").write_text("something")
    assert names(find(tmp_path), tmp_path) == ["a.avi"]
    assert find(folder).paths == [folder]
    assert find(folder / "*.png").paths == [folder]


def test_two_sequences_are_two_clips(tmp_path):
    save_pngs(tmp_path, FRAMES, names=[f"a_{i}" for i in range(5)])
    save_pngs(tmp_path, FRAMES, names=[f"b_{i}" for i in range(5)])
    save_pngs(tmp_path, FRAMES[:1], names=["thumbnail"])
    found = find(tmp_path)
    assert names(found, tmp_path) == ["a_0.png", "b_0.png"]
    assert [path.name for path in found.passed_over[".png"]] == ["thumbnail.png"]


def results(folder, name):
    """As `--stage=predict` leaves them."""
    folder.mkdir(exist_ok=True)
    about = {"name": name, "source": "x", "student": {"fingerprint": "y"}, "num_frames": 5}
    (folder / f"{name}.json").write_text(json.dumps(about, indent=1))
    np.savez(folder / f"{name}.seg.npz", FRAMES)
    (folder / f"{name}.mp4").write_bytes(b"")
    save_pngs(folder, FRAMES[:1], names=[name])
    (folder / "predictions.csv").write_text("name\n")


def test_own_results_are_no_clips(tmp_path):
    avi(tmp_path / "a.avi")
    for number in range(6):
        results(tmp_path / "out", f"clip{number}")
    shown = tmp_path / "run" / "evaluation" / "test" / "predictions"
    shown.mkdir(parents=True)
    np.savez(shown / "000.npz", frames=FRAMES)
    (shown.parent / "metrics.json").write_text("{}")
    found = find(tmp_path)
    assert names(found, tmp_path) == ["a.avi"]
    assert len(found.passed_over[finding.OWN_RESULTS]) == 6 * 4 + 1 + 1
    with pytest.raises(UserError, match=r"no clip there.*25 own results"):
        find(tmp_path / "out")


def test_a_clip_beside_its_own_results_is_still_one(tmp_path):
    results(tmp_path, "a")
    avi(tmp_path / "a.avi")
    assert names(find(tmp_path), tmp_path) == ["a.avi"]


def test_linked_folders_are_searched_and_no_circle_is_followed(tmp_path):
    clips, elsewhere = tmp_path / "clips", tmp_path / "elsewhere"
    (clips / "deep").mkdir(parents=True)
    elsewhere.mkdir()
    avi(elsewhere / "b.avi")
    (clips / "linked").symlink_to(elsewhere)
    (clips / "twice").symlink_to(elsewhere)
    (clips / "deep" / "up").symlink_to(clips)
    (elsewhere / "back").symlink_to(clips)
    assert names(find(clips), clips) == ["linked/b.avi"]


def test_a_link_to_a_missing_clip_is_named_when_it_is_read(tmp_path):
    (tmp_path / "a.avi").symlink_to(tmp_path / "gone.avi")
    assert names(find(tmp_path), tmp_path) == ["a.avi"]


def test_a_pipe_is_not_opened(tmp_path):
    avi(tmp_path / "a.avi")
    os.mkfifo(tmp_path / "pipe")
    assert names(find(tmp_path), tmp_path) == ["a.avi"]


def test_a_glob(tmp_path):
    for name in ("a1.avi", "a2.avi", "b.avi"):
        avi(tmp_path / name)
    (tmp_path / "a3.jpg").write_text("")
    found = find(tmp_path / "a*")
    assert names(found, tmp_path) == ["a1.avi", "a2.avi"]
    assert list(found.passed_over) == [".jpg"]


def test_a_name_that_looks_like_a_glob(tmp_path):
    assert find(avi(tmp_path / "clip[1].avi")).paths == [tmp_path / "clip[1].avi"]


@pytest.mark.parametrize("pattern", ["", "nowhere", "nowhere/*.avi"])
def test_nothing_found(tmp_path, pattern):
    with pytest.raises(UserError, match=r"config\.predict\.inputs"):
        find(pattern and tmp_path / pattern)


def test_a_name_that_is_too_long_for_a_file(tmp_path):
    with pytest.raises(UserError, match="too long"):
        find(tmp_path / ("a" * 300 + ".avi"))


def test_names_stay_in_the_folder_and_differ():
    paths = ["a/../../evil.avi", "x/a b;c.avi", "y/A B;C.mp4", "..", "-rf.avi", "ü.avi", "q" * 200]
    found = finding.safe_names([pathlib.Path(path) for path in paths])
    assert found == ["evil", "a_b_c", "A_B_C_2", "clip", "rf", "clip_2", "q" * 100]


def test_a_bare_name_beside_nothing_is_a_clip(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    path = pathlib.Path("a.avi")
    path.write_bytes(b"any")
    assert finding.kind_of(path) is None
