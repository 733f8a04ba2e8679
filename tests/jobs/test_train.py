"""Training through the real command, on tiny clips (see `stand_in_main.py`)."""

import json
import os
import pathlib
import subprocess
import sys

import jax
import numpy as np
import pytest

from echodfkd_jax.networks.safetensors import save_variables
from echodfkd_jax.runs.checkpoints import all_steps, restore_variables
from echodfkd_jax.runs.writers import read_lines

ROOT = pathlib.Path(__file__).parents[2]
EPOCHS, STEPS_PER_EPOCH = 5, 3


def _command(workdir, *extra: str) -> list[str]:
    return [
        sys.executable,
        "tests/jobs/stand_in_main.py",
        "--config=configs/synthetic.py:smoke",
        "--stage=train",
        f"--config.workdir={workdir}",
        "--config.train.batch_size=2",
        f"--config.train.num_epochs={EPOCHS}",
        "--config.train.schedule=constant",  # So that the number of epochs may change.
        "--config.model.subsampling=2",
        *extra,
    ]


@pytest.fixture(scope="session")
def train():
    def run(workdir, *extra: str) -> subprocess.CompletedProcess:
        return subprocess.run(
            _command(workdir, *extra),
            cwd=ROOT,
            env=os.environ | {"JAX_PLATFORMS": "cpu"},
            capture_output=True,
            text=True,
            timeout=300,
        )

    return run


@pytest.fixture(scope="session")
def uninterrupted(train, tmp_path_factory):
    workdir = tmp_path_factory.mktemp("uninterrupted")
    done = train(workdir)
    assert done.returncode == 0, done.stderr
    return workdir, done.stdout


def _lines(workdir):
    """`metrics.jsonl` without what depends on the clock."""
    clock = ("time_s", "train/clips_per_s")
    lines = read_lines(workdir / "metrics.jsonl")
    return [{k: v for k, v in line.items() if k not in clock} for line in lines]


def _assert_same_run(one, other):
    variables, info = restore_variables(one, "latest")
    again, again_info = restore_variables(other, "latest")
    assert info == again_info
    assert info["step"] == EPOCHS * STEPS_PER_EPOCH
    jax.tree.map(np.testing.assert_array_equal, variables, again)
    assert _lines(one) == _lines(other)


@pytest.mark.slow
def test_a_run_leaves_its_files_and_says_where(uninterrupted):
    workdir, said = uninterrupted
    assert json.loads((workdir / "config.json").read_text())["train"]["batch_size"] == 2
    assert all_steps(workdir)[-1] == EPOCHS * STEPS_PER_EPOCH
    assert list((workdir / "tensorboard" / "train").glob("events.*"))
    tags = {tag for line in _lines(workdir) for tag in line}
    assert {"train/loss", "train/learning_rate", "train/grad_norm"} <= tags
    assert {"validation/loss", "validation/dice"} <= tags
    assert "batch 2, 2 per device" in said
    assert "weights, on 1 cpu device" in said
    assert str(workdir / "checkpoints") in said


@pytest.mark.slow
def test_a_finished_run_does_nothing(train, uninterrupted):
    workdir, _ = uninterrupted
    before = {p: p.stat().st_mtime_ns for p in workdir.rglob("*")}
    done = train(workdir)
    assert done.returncode == 0
    assert "already trained: 5 epochs, 15 steps" in done.stdout
    assert "nothing to do" in done.stdout
    assert {p: p.stat().st_mtime_ns for p in workdir.rglob("*")} == before


@pytest.mark.slow
def test_another_configuration_in_the_same_folder_is_refused(train, uninterrupted):
    workdir, _ = uninterrupted
    done = train(workdir, "--config.train.learning_rate=0.5")
    assert done.returncode == 2
    assert "config.train.learning_rate=0.5" in done.stderr
    assert "was trained with 0.003" in done.stderr
    assert done.stderr.count("\n") == 1


@pytest.mark.slow
def test_more_epochs_continue(train, uninterrupted, tmp_path):
    workdir, _ = uninterrupted
    first = train(tmp_path, "--config.train.num_epochs=2")
    assert "epoch 2/2, step 6" in first.stdout
    second = train(tmp_path)
    assert "continuing after step 6 of 15 (epoch 2)" in second.stdout
    _assert_same_run(workdir, tmp_path)


@pytest.mark.slow
def test_a_damaged_checkpoint_is_named_and_the_run_ends_the_same(train, uninterrupted, tmp_path):
    workdir, _ = uninterrupted
    train(tmp_path, "--config.train.num_epochs=3")
    folder = tmp_path / "checkpoints" / "9"
    largest = max((p for p in folder.rglob("*") if p.is_file()), key=lambda p: p.stat().st_size)
    data = bytearray(largest.read_bytes())
    data[len(data) // 2] ^= 1
    largest.write_bytes(bytes(data))
    done = train(tmp_path)
    assert done.returncode == 0, done.stderr
    assert str(folder) in done.stderr
    assert "continuing after step 6" in done.stdout
    _assert_same_run(workdir, tmp_path)


@pytest.mark.slow
def test_generator_and_pmap(train, tmp_path):
    done = train(
        tmp_path,
        "--config.input.source=generator",
        "--config.input.target=reference",
        "--config.parallel.mode=pmap",
        "--config.train.num_epochs=1",
    )
    assert done.returncode == 0, done.stderr
    assert "(pmap)" in done.stdout
    assert restore_variables(tmp_path)[1]["step"] == 4  # 8 clips in batches of 2


@pytest.mark.slow
def test_a_batch_larger_than_the_data_is_answered_in_one_line(train, tmp_path):
    done = train(tmp_path, "--config.train.batch_size=200")
    assert done.returncode == 2
    assert "config.train.batch_size=200 is more than the 6 training clips" in done.stderr
    assert done.stderr.count("\n") == 1
    assert {path.name for path in tmp_path.iterdir()} <= {".training.lock"}


@pytest.mark.slow
def test_training_can_begin_with_the_weights_of_a_file(train, uninterrupted, tmp_path):
    variables = restore_variables(uninterrupted[0])[0]
    saved = json.loads((uninterrupted[0] / "config.json").read_text())
    model = {field: saved["model"][field] for field in saved["model"] if field != "remat"}
    file = tmp_path / "begin.safetensors"
    save_variables(file, variables, {"model": json.dumps(model)})
    flags = [f"--config.train.init_from={file}", "--config.train.num_epochs=1"]
    slow = train(tmp_path / "slow", *flags, "--config.train.learning_rate=1e-9")
    assert slow.returncode == 0, slow.stderr
    found = restore_variables(tmp_path / "slow")[0]
    for wanted, got in zip(
        jax.tree.leaves(variables["params"]), jax.tree.leaves(found["params"]), strict=True
    ):
        np.testing.assert_allclose(got, wanted, atol=1e-6)
    other = train(tmp_path / "other", *flags, "--config.model.blocks=1")
    assert other.returncode == 2
    assert "was trained with config.model.blocks=2, not 1; set that too" in other.stderr
    assert "Traceback" not in other.stderr
