"""Every stage on disks of 120 kB, 600 kB and 3 MB, and on one that takes nothing."""

import os
import pathlib
import subprocess
import sys

import pytest

from tests.clips import echonet_folder
from tests.jobs import made_up_run

pytestmark = pytest.mark.slow
ROOT = pathlib.Path(__file__).parents[2]
# A hang is a failure; a busy machine is none.
SECONDS = 300
READ_ONLY = "read-only"


@pytest.fixture(scope="module")
def clips(tmp_path_factory):
    folder = tmp_path_factory.mktemp("clips") / "clips"
    return made_up_run.save_clips(folder, names=[f"clip{number}" for number in range(6)])


@pytest.fixture(scope="module")
def recorded(tmp_path_factory):
    return echonet_folder.build(tmp_path_factory.mktemp("manual") / "EchoNet-Dynamic")


@pytest.fixture(params=["120k", "600k", "3m", READ_ONLY])
def small(tmp_path, request):
    """A mounted folder, in which a run has left its first files, and its size."""
    disk = tmp_path / "disk"
    disk.mkdir()
    size = request.param if request.param != READ_ONLY else "3m"
    mount = ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(disk)]
    if os.geteuid() != 0 or subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("a small disk can be mounted by root alone")
    made = made_up_run.config(tmp_path / "run")
    made_up_run.save_run(made)
    (disk / "run").mkdir()
    for name in ("config.json", "metrics.jsonl"):
        (disk / "run" / name).write_bytes((tmp_path / "run" / name).read_bytes())
    if request.param == READ_ONLY:
        subprocess.run(["mount", "-o", "remount,ro", str(disk)], check=True)
    yield disk, request.param
    subprocess.run(["umount", str(disk)], check=True)


def stages(disk, clips, recorded):
    """Arguments by stage."""
    run = f"--config.workdir={disk}/run"
    synthetic = "--config=configs/synthetic.py:smoke"
    return {
        "predict": [
            synthetic,
            f"--config.predict.inputs={clips}/Videos",
            f"--config.predict.output={disk}/out",
            "--config.student.weights=small",
        ],
        "evaluate": [
            synthetic,
            f"--config.workdir={disk}/evaluated",
            f"--config.eval.clips_dir={clips}",
            "--config.eval.split=all",
            "--config.student.weights=small",
        ],
        "report": [synthetic, run],
        "export": [
            synthetic,
            f"--config.export.file={disk}/out/student.safetensors",
            "--config.student.weights=best",
        ],
        "prepare": [
            "--config=configs/echonet_dynamic.py",
            f"--config.dataset.data_dir={disk}/data",
            f"--config.dataset.manual_dir={recorded}",
            "--config.teacher.name=precomputed",
            "--config.teacher.weights=",
        ],
        "train": [
            synthetic,
            f"--config.workdir={disk}/trained",
            "--config.train.num_epochs=500",
            "--config.train.patience=0",
            "--config.train.batch_size=2",
            "--config.train.steps_per_epoch=2",
            "--config.train.keep_checkpoints=99",
            "--config.model.blocks=1",
            "--config.model.filters=2",
            "--config.model.subsampling=2",
            "--config.input.window_frames=4",
        ],
    }


@pytest.mark.parametrize("stage", ["predict", "evaluate", "report", "export", "prepare", "train"])
def test_a_stage_ends_in_one_line(small, clips, recorded, stage):
    disk, size = small
    kept = (disk / "run" / "config.json").read_bytes()
    # Trained on small discs: a heart takes a minute to compile.
    program = "tests/jobs/stand_in_main.py" if stage == "train" else "main.py"
    done = subprocess.run(
        [sys.executable, program, f"--stage={stage}", *stages(disk, clips, recorded)[stage]],
        cwd=ROOT,
        env=os.environ | {"JAX_PLATFORMS": "cpu"},
        capture_output=True,
        text=True,
        timeout=SECONDS,
    )
    said = done.stderr
    assert "Traceback" not in said
    assert done.returncode in (0, 2), said
    errors = [line for line in said.splitlines() if "error: " in line]
    assert len(errors) == (done.returncode == 2), said
    if errors:
        assert str(disk) in errors[0]
        assert "No space left on device" in errors[0] or "Read-only file system" in errors[0]
    assert done.returncode == 2 or size not in ("120k", READ_ONLY)
    assert (disk / "run" / "config.json").read_bytes() == kept
    assert not list(disk.rglob("*.part"))
