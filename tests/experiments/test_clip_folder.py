import sys

import numpy as np
import pytest

from echodfkd_jax.clips import echonet, video
from experiments import clip_folder

pytestmark = pytest.mark.slow


def test_a_folder_of_two_kinds_of_clips_is_read_as_one(tmp_path, monkeypatch):
    other = tmp_path / "other"
    (other / "Videos").mkdir(parents=True)
    frames = np.random.default_rng(0).integers(0, 255, (4, 112, 112), np.uint8)
    video.write_avi(other / "Videos" / "theirs.avi", frames, 25.0)
    header = ",".join(clip_folder.COLUMNS)
    (other / "FileList.csv").write_text(f"{header}\ntheirs,50,40,80,112,112,25,4,TRAIN\n")

    out = tmp_path / "both"
    arguments = ["clip_folder", str(out), "--generated=20", "--frames=4", f"--beside={other}"]
    monkeypatch.setattr(sys, "argv", arguments)
    clip_folder.main()

    numbers = {split: len(echonet.open_folder(out, split)) for split in ("train", "validation")}
    assert numbers == {"train": 19, "validation": 1}
    assert {clip.name for clip in echonet.open_folder(out, "test")} == {"generated_00019"}
    generated = next(iter(echonet.open_folder(out, "validation")))
    assert generated.frames.shape == (4, 112, 112)
    assert generated.ef_percent > 0
