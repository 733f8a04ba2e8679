"""A prediction that is killed without a word, and the same command again."""

import os
import pathlib
import signal
import subprocess
import sys
import time

import pytest

from tests.jobs import made_up_run

ROOT = pathlib.Path(__file__).parents[2]


def start(folder, output):
    flags = (f"--config.predict.inputs={folder}", f"--config.predict.output={output}")
    return subprocess.Popen(
        [sys.executable, "main.py", "predict", *flags, "--config.student.weights=small"],
        cwd=ROOT,
        env=os.environ | {"JAX_PLATFORMS": "cpu"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


@pytest.mark.slow
def test_killed_and_continued_gives_the_same_table(tmp_path):
    names = [f"clip{number}" for number in range(8)]
    folder = made_up_run.save_clips(tmp_path / "clips", names=names, masks=False) / "Videos"
    with start(folder, tmp_path / "whole") as whole:
        said, _ = whole.communicate(timeout=600)
        assert whole.returncode == 0, said
    with start(folder, tmp_path / "killed") as killed:
        while not (tmp_path / "killed" / "clip1.json").exists():
            assert killed.poll() is None, killed.stdout.read()
            time.sleep(0.01)
        killed.send_signal(signal.SIGKILL)
        killed.communicate(timeout=60)
    assert not (tmp_path / "killed" / "predictions.csv").exists()
    with start(folder, tmp_path / "killed") as again:
        said, _ = again.communicate(timeout=600)
        assert again.returncode == 0, said
    assert "of them before" in said
    tables = [(tmp_path / name / "predictions.csv").read_bytes() for name in ("whole", "killed")]
    assert tables[0] == tables[1]
