import json

import numpy as np
import pytest

from echodfkd_jax.clips import echonet, generated
from echodfkd_jax.errors import UserError

MANIFEST = {"generator": "latent-0123", "seed": 7, "num_frames": 4}


def clip(name, ef_percent=55.25, split="TRAIN", **made_from):
    frames = np.random.default_rng(0).integers(0, 255, (4, 112, 112)).astype(np.uint8)
    return generated.GeneratedClip(name, frames // 8 + 100, 32.0, ef_percent, split, made_from)


def test_the_folder_is_read_like_any_other(tmp_path):
    folder = generated.GeneratedFolder(tmp_path / "made", MANIFEST)
    folder.add([clip("made_0"), clip("made_1", float("nan"), "VAL", number=3)])
    clips = echonet.open_folder(tmp_path / "made")
    assert [each.name for each in clips] == ["made_0", "made_1"]
    assert (clips[0].ef_percent, clips[0].fps) == (55.25, 32)
    assert np.isnan(clips[1].ef_percent)
    assert np.abs(clips[0].frames.astype(int) - clip("").frames).max() < 24  # JPEG
    assert len(echonet.open_folder(tmp_path / "made", "validation")) == 1
    table = (tmp_path / "made" / "FileList.csv").read_text().splitlines()
    assert table[0] == ("FileName,EF,ESV,EDV,FrameHeight,FrameWidth,FPS,NumberOfFrames,Split")
    assert table[1] == "made_0,55.25,0,0,112,112,32.0,4,TRAIN"
    assert folder.line("made_1")["number"] == 3


def test_opened_again_it_knows_its_clips_and_takes_more(tmp_path):
    generated.GeneratedFolder(tmp_path, MANIFEST).add([clip("a")])
    again = generated.GeneratedFolder(tmp_path, MANIFEST)
    assert again.names == ("a",)
    again.add([clip("b")])
    assert generated.GeneratedFolder(tmp_path, MANIFEST).names == ("a", "b")


def test_a_clip_without_its_line_or_its_video_is_not_there(tmp_path):
    folder = generated.GeneratedFolder(tmp_path, MANIFEST)
    folder.add([clip("a"), clip("b")])
    (tmp_path / "Videos" / "a.avi").unlink()
    lines = (tmp_path / "clips.jsonl").read_text().splitlines()
    (tmp_path / "clips.jsonl").write_text(lines[0] + "\n")
    assert generated.GeneratedFolder(tmp_path, MANIFEST).names == ()


def test_clips_of_another_generator_are_not_mixed_in(tmp_path):
    generated.GeneratedFolder(tmp_path, MANIFEST)
    with pytest.raises(UserError, match="made with seed=7, asked for 8; delete the folder"):
        generated.GeneratedFolder(tmp_path, {**MANIFEST, "seed": 8})


@pytest.mark.parametrize("line", ["{", "[]", '{"name": "a", "split": "DEV"}'])
def test_damaged_lines_are_one_line(tmp_path, line):
    generated.GeneratedFolder(tmp_path, MANIFEST).add([clip("a")])
    (tmp_path / "clips.jsonl").write_text(line + "\n")
    with pytest.raises(UserError, match=r"clips\.jsonl: cannot be read"):
        generated.GeneratedFolder(tmp_path, MANIFEST)


def test_manifest_is_readable_json(tmp_path):
    generated.GeneratedFolder(tmp_path, {**MANIFEST, "threshold": np.float32(0.5)})
    assert json.loads((tmp_path / "manifest.json").read_text())["threshold"] == 0.5
