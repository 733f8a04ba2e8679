"""A generator through the command: data set, training, clips, and its clips as a clip source."""

import errno
import json
import os

import numpy as np
import pytest

from configs import diffusion
from echodfkd_jax import cli
from echodfkd_jax.clips import echonet, video

pytestmark = pytest.mark.slow

OWN = "tests.own_parts"


def command(folder, stage, *flags):
    fields = {
        "workdir": folder / "run",
        "dataset.data_dir": folder,
        "dataset.generator": f"{OWN}:Hearts",
        "dataset.num_train": 4,
        "dataset.num_validation": 2,
        "dataset.num_test": 1,
        "dataset.num_frames": 12,
        "train.num_epochs": 3,
        "train.image_every_epochs": 3,
        "generate.filter": False,
    }
    settings = [f"--config.{field}={value}" for field, value in fields.items()]
    config = f"--config={diffusion.__file__}:smoke"
    return cli.main(["main.py", config, f"--stage={stage}", *settings, *flags])


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("generator")
    assert command(folder, "all") == 0
    return folder


@pytest.fixture(scope="module")
def clips(folder):
    return echonet.open_folder(folder / "run" / "generated")


def test_as_many_clips_as_asked_for_of_the_length_asked_for(clips):
    assert len(clips) == 3
    for clip in clips:
        assert clip.frames.shape == (6, 112, 112)  # More than the window's four.
        assert clip.fps == 16
        assert 10 <= clip.ef_percent <= 90
    assert len({clip.ef_percent for clip in clips}) == 3


def test_training_scores_both_networks(folder):
    lines = (folder / "run" / "metrics.jsonl").read_text().splitlines()
    last = {key: value for line in lines for key, value in json.loads(line).items()}
    both = last["validation/reconstruction"] + last["validation/denoising"]
    assert last["validation/loss"] == pytest.approx(both, rel=1e-4)


def test_the_manifest_says_what_made_them(folder):
    manifest = json.loads((folder / "run" / "generated" / "manifest.json").read_text())
    assert manifest["generator"].startswith("generator-")
    assert (manifest["seed"], manifest["steps"], manifest["num_frames"]) == (0, 2, 6)


def test_more_clips_are_added_and_those_that_are_there_stay(folder, clips):
    before = [clip.frames for clip in clips]
    assert command(folder, "generate", "--config.generate.num_clips=4") == 0
    after = echonet.open_folder(folder / "run" / "generated")
    assert len(after) == 4
    for old, new in zip(before, after):
        np.testing.assert_array_equal(new.frames, old)


def test_a_full_disk_is_one_line_and_afterwards_it_goes_on_to_the_same_clips(
    folder, clips, capsys, monkeypatch
):
    elsewhere, write = folder / "again", video.write_avi
    # One clip at once instead of two.
    flags = (f"--config.generate.output={elsewhere}", "--config.generate.batch_size=1")

    def until_the_disk_is_full(path, *clip):
        if (elsewhere / "Videos" / "generated_000000.avi").exists():
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))
        write(path, *clip)

    with monkeypatch.context() as patched:
        patched.setattr(video, "write_avi", until_the_disk_is_full)
        assert command(folder, "generate", *flags) == 2
    said = capsys.readouterr().err.strip().splitlines()[-1]
    assert "No space left on device" in said and "generated_000001" in said
    assert len(echonet.open_folder(elsewhere)) == 1
    assert command(folder, "generate", *flags) == 0
    again = echonet.open_folder(elsewhere)
    assert len(again) == len(clips)
    for old, new in zip(clips, again):
        assert old.name == new.name and old.ef_percent == new.ef_percent
        difference = np.abs(old.frames.astype(int) - new.frames)
        assert difference.max() <= 4  # Rounding, then JPEG.


def test_its_clips_are_a_clip_source(folder, clips):
    made = folder / "run" / "generated"
    flags = (
        "--config.dataset.name=folder",
        f"--config.dataset.manual_dir={made}",
        "--config.dataset.min_frames=4",
    )
    assert command(folder, "prepare", *flags) == 0
    (info,) = folder.glob("echo_clips/folder_*/*/prepare_report.json")
    assert json.loads(info.read_text())["layout"]["num_used"] == len(echonet.open_folder(made))


def test_other_settings_do_not_go_into_the_same_folder(folder, clips, capsys):
    assert command(folder, "generate", "--config.generate.seed=1") == 2
    assert "were made with seed=0, asked for 1" in capsys.readouterr().err


def test_the_filter_keeps_what_resembles_no_training_clip(folder):
    elsewhere = folder / "filtered"
    flags = (f"--config.generate.output={elsewhere}", "--config.generate.filter=True")
    assert command(folder, "generate", *flags) == 0
    lines = (elsewhere / "clips.jsonl").read_text().splitlines()
    assert all(-1 <= json.loads(line)["correlation"] < 1 for line in lines)


@pytest.mark.parametrize(
    ("flag", "message"),
    [
        ("--config.generate.most_ef_percent=101", "config.generate.most_ef_percent=101"),
        ("--config.generate.least_ef_percent=95", "least_ef_percent, 95, or more"),
        ("--config.generate.checkpoint=12345", "expected 'best', 'latest' or one of the steps"),
        ("--config.workdir=nowhere", "run --stage=train first"),
    ],
)
def test_what_cannot_be_asked_for_is_one_line(folder, flag, message, capsys):
    assert command(folder, "generate", flag) == 2
    said = capsys.readouterr().err.strip()
    assert message in said and "\n" not in said
