"""From a folder as it is downloaded to numbers, with the real command."""

import json
import math
import os
import pathlib
import subprocess
import sys

import pytest

from echodfkd_jax.datasets import prepared as dataset
from tests.clips import echonet_folder

ROOT = pathlib.Path(__file__).parents[2]
PRECOMPUTED = ("--config.teacher.name=precomputed", "--config.teacher.weights=")
SMALL = (
    "--config.model.blocks=1",
    "--config.model.layers=1",
    "--config.model.filters=2",
    "--config.model.subsampling=4",
    "--config.input.num_threads=0",
    "--config.input.cache_gib=1",
    "--config.input.window_frames=8",
    "--config.input.subsample=2",
    "--config.train.batch_size=4",
    "--config.train.num_epochs=1",
    "--config.eval.bootstrap_samples=20",
)


def _main(config: str, *args: str) -> str:
    done = subprocess.run(
        [sys.executable, "main.py", f"--config=configs/{config}.py", *SMALL, *args],
        cwd=ROOT,
        env=os.environ | {"JAX_PLATFORMS": "cpu"},
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def road(tmp_path_factory):
    """The made-up folder after prepare, train and evaluate; the folder of all of them."""
    folder = tmp_path_factory.mktemp("road")
    echonet_folder.build(folder / "download" / "EchoNet-Dynamic")
    places = (
        f"--config.workdir={folder / 'run'}",
        f"--config.dataset.data_dir={folder / 'data'}",
        f"--config.dataset.manual_dir={folder / 'download'}",
    )
    for stage in ("prepare", "train", "evaluate"):
        _main("echonet_dynamic", f"--stage={stage}", *PRECOMPUTED, *places)
    return folder


@pytest.mark.slow
def test_every_clip_is_counted(road):
    (path,) = (road / "data").rglob("prepare_report.json")
    report = json.loads(path.read_text())
    layout = report["layout"]
    assert sum(report["num_clips"].values()) == echonet_folder.NUM_MASKED
    assert layout["num_listed"] == len(echonet_folder.CLIPS)
    assert layout["num_used"] == echonet_folder.NUM_MASKED
    sections = {**layout["left_out"], **layout["used"], **layout["tables"]}
    counts = {rule: found["count"] for rule, found in sections.items()}
    assert counts == counts | echonet_folder.EXPECTED_COUNTS
    assert counts["no_mask"] == echonet_folder.NUM_USED - echonet_folder.NUM_MASKED


@pytest.mark.slow
def test_both_protocols_are_judged_on_the_tracings_of_the_test_split(road):
    (path,) = (road / "data").rglob("prepare_report.json")
    num_test = json.loads(path.read_text())["num_clips"]["test"]
    metrics = json.loads((road / "run" / "evaluation" / "test" / "metrics.json").read_text())
    assert metrics["num_clips"] == num_test
    for protocol in ("paper", "echonet"):
        entries = metrics["protocols"][protocol]
        # The masks were drawn around the same ellipses as the tracings.
        assert entries["dice/teacher_vs_reference"]["value"] > 0.95
        assert 0 < entries["dice/student_vs_reference"]["count"] < num_test  # Some are untraced.
        assert entries["dice/student_vs_teacher"]["count"] == num_test


NUM_SYNTHETIC, SYNTHETIC_FRAMES = 20, 28


@pytest.fixture(scope="module")
def synthetic_road(tmp_path_factory):
    """Made-up EchoNet-Synthetic clips, labelled by a network, judged on made-up real ones."""
    folder = tmp_path_factory.mktemp("synthetic_road")
    echonet_folder.build(folder / "echonet" / "EchoNet-Dynamic")
    echonet_folder.build_synthetic(folder / "download", NUM_SYNTHETIC, SYNTHETIC_FRAMES)
    _main(
        "echonet_synthetic",
        "--config.teacher.name=unet",
        "--config.teacher.weights=",
        f"--config.workdir={folder / 'run'}",
        f"--config.dataset.data_dir={folder / 'data'}",
        f"--config.dataset.manual_dir={folder / 'download'}",
        f"--config.eval.clips_dir={folder / 'echonet'}",
        "--config.augment.gain=0.3",
        "--config.augment.shift=0.1",
    )
    return folder


@pytest.mark.slow
def test_the_synthetic_set_is_used_whole_at_its_own_frame_rate(synthetic_road):
    (path,) = (synthetic_road / "data").rglob("prepare_report.json")
    report = json.loads(path.read_text())
    assert report["num_clips"] == {"train": 10, "validation": 5, "test": 5}
    assert report["layout"]["num_used"] == NUM_SYNTHETIC
    assert "resized" not in {k for k, v in report["layout"]["used"].items() if v["count"]}
    clip = dataset.open_split(path.parent, "test")[0]
    assert clip.frames.shape == (SYNTHETIC_FRAMES, 112, 112)
    assert clip.fps == 32
    assert clip.teacher_mask.shape == (*clip.frames.shape, 1)
    assert math.isnan(clip.edv_ml)


@pytest.mark.slow
def test_a_student_of_the_synthetic_set_is_judged_on_the_real_one(synthetic_road):
    (path,) = (synthetic_road / "run" / "evaluation").rglob("metrics.json")
    assert path.parent.name == "EchoNet-Dynamic"
    metrics = json.loads(path.read_text())
    for protocol in ("paper", "echonet"):
        assert metrics["protocols"][protocol]["dice/student_vs_reference"]["count"] > 0
        assert metrics["protocols"][protocol]["dice/student_vs_teacher"]["count"] > 0
    assert metrics["reliability"].keys() >= {"student_vs_reference", "student_vs_teacher"}
    report = synthetic_road / "run" / "report"
    assert (report / "index.html").stat().st_size > 10_000
    assert (report / "EchoNet-Dynamic_reliability.png").is_file()
