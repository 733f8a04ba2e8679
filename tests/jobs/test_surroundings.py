"""What the machine around a command does to it: names, paths, devices, pipes, values."""

import csv
import os
import pathlib
import subprocess
import sys

import numpy as np
import pytest

from echodfkd_jax import cli
from tests.clips import echonet_folder

ROOT = pathlib.Path(__file__).parents[2]
CONFIG = "--config=configs/synthetic.py:smoke"


@pytest.fixture
def clip(tmp_path):
    """A short clip."""
    frames, _ = echonet_folder.beat(12)
    np.savez(tmp_path / "a.npz", frames=frames, fps=50.0)
    return tmp_path / "a.npz"


def command(*args, **env):
    return subprocess.Popen(
        [sys.executable, "main.py", CONFIG, *args],
        cwd=ROOT,
        env=os.environ | {"JAX_PLATFORMS": "cpu"} | env,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )


def predict(tmp_path, inputs, *args):
    out = tmp_path / "out"
    settings = [f"--config.predict.{k}={v}" for k, v in (("inputs", inputs), ("output", out))]
    run = f"--config.workdir={tmp_path}/no_run"
    return cli.main(["main.py", CONFIG, "--stage=predict", run, *settings, *args]), out


@pytest.mark.parametrize(
    "field",
    [
        "workdir",
        "dataset.data_dir",
        "teacher.weights",
        "eval.clips_dir",
        "student.weights",
        "judge.weights",
        "judge.cache_dir",
        "import_student.file",
        "predict.inputs",
        "predict.output",
        "export.file",
        "export.onnx_python",
    ],
)
def test_home_and_variables_stand_in_every_path(monkeypatch, field):
    monkeypatch.setenv("HOME", "/home/me")
    monkeypatch.setenv("CLIPS", "echo")
    config = cli.parse(["main.py", CONFIG, f"--config.{field}=~/$CLIPS/${{CLIPS}}2"]).config
    for part in field.split("."):
        config = config[part]
    assert config == "/home/me/echo/echo2"


def test_home_stands_in_the_path_of_the_configuration(monkeypatch):
    monkeypatch.setenv("HOME", str(ROOT))
    command = cli.parse(["main.py", "--config=~/configs/synthetic.py:smoke"])
    assert command.config.workdir == "runs/synthetic_smoke"


@pytest.mark.slow
def test_a_name_that_is_no_text_keeps_the_table(clip, tmp_path, capsys):
    folder = tmp_path / "clips"
    folder.mkdir()
    clip.rename(folder / os.fsdecode(b"caf\xe9.npz"))
    (folder / os.fsdecode(b"\xff.txt")).write_text("")
    status, out = predict(tmp_path, folder)
    assert status == 0, capsys.readouterr().err
    with (out / "predictions.csv").open(encoding="utf-8") as file:
        (row,) = csv.DictReader(file)
    assert row["status"] == "ok"
    assert row["source"].endswith("caf\\udce9.npz")


def test_a_path_that_is_too_long_is_one_line(tmp_path, capsys):
    status, _ = predict(tmp_path, "a" * 300 + ".avi")
    assert status == 2
    assert capsys.readouterr().err.startswith("error: aaa")


@pytest.mark.parametrize(
    ("stage", "field"),
    [
        ("evaluate", "eval.clips_dir"),
        ("evaluate", "student.weights"),
        ("predict", "student.weights"),
        ("train", "workdir"),
        ("report", "workdir"),
        ("import_student", "import_student.file"),
    ],
)
def test_names_that_are_too_long_are_one_line_in_every_stage(tmp_path, capsys, clip, stage, field):
    args = [f"--config.workdir={tmp_path}/no_run", f"--config.predict.inputs={clip}"]
    args.append(f"--config.{field}={tmp_path}/{'a' * 300}.ckpt")
    assert cli.main(["main.py", CONFIG, f"--stage={stage}", *args]) == 2
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert said.startswith("error: ") and "aaaa" in said


@pytest.mark.parametrize(
    ("overrides", "said"),
    [
        (["--config.seed=-1"], "config.seed=-1: expected 0 to 2147483646"),
        (["--config.seed=99999999999999999999"], "config.seed=99999999999999999999: expected"),
        (["--config.dataset.seed=-1"], "config.dataset.seed=-1"),
        (["--config.model.filters=0"], "config.model.filters=0: expected 1 to 4096"),
        (["--config.model.blocks=0"], "config.model.blocks=0: expected 1 to 6"),
        (["--config.model.subsampling=0"], "config.model.subsampling=0: expected 1 to 16"),
        (["--config.input.num_threads=-1"], "config.input.num_threads=-1: expected 0 to 256"),
        (
            ["--config.input.window_frames=40"],
            "config.input.window_frames=40: expected at most config.dataset.num_frames, 32",
        ),
    ],
)
def test_values_that_cannot_be_are_one_line(tmp_path, capsys, overrides, said):
    stage = "prepare" if "dataset.seed" in overrides[0] else "train"
    folders = [f"--config.workdir={tmp_path}/run", f"--config.dataset.data_dir={tmp_path}/data"]
    assert cli.main(["main.py", CONFIG, f"--stage={stage}", *folders, *overrides]) == 2
    assert said in capsys.readouterr().err


@pytest.mark.parametrize("seed", ["-1", "99999999999999999999"])
def test_seeds_of_the_bootstrap(tmp_path, capsys, seed):
    args = [f"--config.workdir={tmp_path}", f"--config.eval.seed={seed}"]
    assert cli.main(["main.py", CONFIG, "--stage=evaluate", *args]) == 2
    assert f"config.eval.seed={seed}" in capsys.readouterr().err


@pytest.mark.slow
def test_a_missing_device_is_told_by_its_backend(clip):
    process = command("--stage=predict", f"--config.predict.inputs={clip}", JAX_PLATFORMS="cuda")
    _, said = process.communicate(timeout=120)
    errors = [line for line in said.decode().splitlines() if "error: " in line]
    assert process.returncode == 2, said
    assert len(errors) == 1
    assert "cuda" in errors[0] and "JAX_PLATFORMS=cpu" in errors[0]
    assert "header" not in errors[0]


@pytest.mark.slow
def test_a_stream_ends_quietly_with_its_reader(clip, tmp_path):
    process = command(
        "--stage=predict", "--config.predict.stream=True", f"--config.workdir={tmp_path}/no_run"
    )
    frames = np.load(clip)["frames"].tobytes()
    process.stdin.write(frames)
    process.stdin.flush()
    assert process.stdout.readline().startswith(b'{"frame": 0')
    process.stdout.close()  # As `head` does.
    try:
        for _ in range(50):
            process.stdin.write(frames)
        process.stdin.close()
    except BrokenPipeError:
        pass
    assert process.wait(120) == 0
    assert process.stderr.read() == b""
