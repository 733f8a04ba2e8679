"""From a folder as it is downloaded to numbers, with the real command."""

import json
import os
import pathlib
import subprocess
import sys

import pytest

from tests.clips import echonet_folder

ROOT = pathlib.Path(__file__).parents[2]
SMALL = (
    "--config.teacher.name=precomputed",
    "--config.teacher.weights=",
    "--config.model.blocks=1",
    "--config.model.layers=1",
    "--config.model.filters=2",
    "--config.model.stride=4",
    "--config.input.num_threads=0",
    "--config.input.cache_gib=1",
    "--config.input.window_frames=8",
    "--config.input.subsample=2",
    "--config.train.batch_size=4",
    "--config.train.num_epochs=1",
    "--config.eval.bootstrap_samples=20",
)


def _main(*args: str) -> str:
    done = subprocess.run(
        [sys.executable, "main.py", "--config=configs/echonet_dynamic.py", *SMALL, *args],
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
        _main(f"--stage={stage}", *places)
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
