"""Every clip that is listed or lies in a folder is counted and named, with the reason."""

import json
import pathlib

import numpy as np
import pytest

from echodfkd_jax.clips import video
from echodfkd_jax.errors import UserError
from echodfkd_jax.jobs import evaluate, report
from tests.clips import echonet_folder
from tests.clips.video_file import trim, write_video
from tests.datasets import stand_ins
from tests.jobs import made_up_run


@pytest.fixture
def config(tmp_path, monkeypatch):
    stand_ins.use(monkeypatch, stand_ins.CountingTeacher())
    made = made_up_run.config(tmp_path / "run")
    made_up_run.save_run(made)
    made.eval.split = "all"
    return made


def bad_clips(folder):
    """Clips of which one half can be read, one is missing, and one is no video."""
    made_up_run.save_clips(folder, names=("good", "half", "gone", "junk"), masks=False)
    videos = folder / "Videos"
    half = videos / "half.avi"
    half.write_bytes(half.read_bytes()[: half.stat().st_size // 2])
    (videos / "gone.avi").unlink()
    (videos / "junk.avi").write_text("no video")
    (videos / "notes.txt").write_text("")
    video.write_avi(videos / "new.avi", echonet_folder.beat(24)[0], 50.0)
    return folder


def evaluated(config, folder):
    config.eval.clips_dir = str(folder)
    evaluate.run(config)
    path = pathlib.Path(config.workdir) / "evaluation" / folder.name / "metrics.json"
    return json.loads(path.read_text())


REASONS = {
    "gone": "listed in FileList.csv, but there is no such video",
    "half": "frames could be decoded",
    "junk": "not readable as a video",
    "new": "a video that FileList.csv does not list",
}


def test_clips_that_are_left_out_are_named_everywhere(config, tmp_path, capsys):
    metrics = evaluated(config, bad_clips(tmp_path / "clips"))
    assert (metrics["num_clips"], metrics["num_listed"]) == (1, 4)
    found = {clip["name"]: clip["reason"] for clip in metrics["left_out"]}
    assert found.keys() == REASONS.keys()
    said = capsys.readouterr().out
    report.run(config)
    page = (pathlib.Path(config.workdir) / "report" / "index.html").read_text()
    for name, reason in REASONS.items():
        assert reason in found[name]
        assert any(f"left out: {name}: " in line and reason in line for line in said.splitlines())
        assert f"Left out: {name}: " in page
    assert "1 clips, 4 left out" in said
    assert [pathlib.Path(path).name for path in metrics["passed_over"][".txt"]] == ["notes.txt"]
    assert "passed over: 1 .txt file (notes.txt)" in said


def test_all_of_them_left_out_is_an_error(config, tmp_path):
    folder = bad_clips(tmp_path / "clips")
    (folder / "Videos" / "good.avi").write_text("no video")
    with pytest.raises(UserError, match=r"no usable clip.*4 were left out: gone: listed in|5 were"):
        evaluated(config, folder)


def test_a_trimmed_clip_is_evaluated_as_what_it_shows(config, tmp_path):
    frames = echonet_folder.beat(60)[0]
    folder = tmp_path / "clips"
    folder.mkdir()
    trim(write_video(folder / "a.mp4", frames), start_ms=400, length_ms=600)
    np.savez(folder / "b.npz", frames=frames[20:50], fps=50.0)
    metrics = evaluated(config, folder)
    assert metrics["left_out"] == []
    a, b = metrics["per_clip"]
    assert (a["num_frames"], b["num_frames"]) == (30, 30)
    assert a["ef_area/teacher"] == pytest.approx(b["ef_area/teacher"], abs=2)
