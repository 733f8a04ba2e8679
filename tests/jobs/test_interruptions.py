"""Runs that are killed, told to stop, moved to other devices, or short of disk (`stand_in_main`).

    ECHODFKD_KILLS=50 python -m pytest -s tests/jobs/test_interruptions.py -k killed

kills as often as that, instead of the five times that are enough for every day.
"""

import os
import pathlib
import random
import re
import signal
import socket
import subprocess
import time

import jax
import numpy as np
import pytest

from echodfkd_jax.runs.checkpoints import Checkpoints, all_steps
from echodfkd_jax.runs.writers import read_lines
from tests.jobs import stand_in_main

pytestmark = pytest.mark.slow

KILLS = int(os.environ.get("ECHODFKD_KILLS", "5"))
STEPS_PER_EPOCH = 5


@pytest.fixture(scope="module", autouse=True)
def _environment():
    """Read by JAX when the first process imports it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("JAX_PLATFORMS", "cpu")
        yield


def _start(workdir: pathlib.Path, epochs: int, *extra: str, devices: int = 1, log: str = "log"):
    workdir.mkdir(exist_ok=True)
    argv = [
        "--config=configs/synthetic.py:smoke",
        "--stage=train",
        f"--config.workdir={workdir}",
        "--config.train.batch_size=2",
        f"--config.train.steps_per_epoch={STEPS_PER_EPOCH}",
        f"--config.train.num_epochs={epochs}",
        "--config.train.schedule=constant",  # So that the number of epochs may change.
        "--config.train.image_every_epochs=0",
        "--config.train.patience=0",
        "--config.train.learning_rate=0.0003",
        "--config.model.blocks=1",
        "--config.model.filters=2",
        "--config.model.subsampling=2",
        "--config.input.window_frames=4",
        *extra,
    ]
    return stand_in_main.start(argv, workdir.with_suffix(f".{log}"), devices=devices)


def _said(workdir: pathlib.Path, log: str = "log") -> str:
    return workdir.with_suffix(f".{log}").read_text()


def _train(workdir: pathlib.Path, epochs: int, *extra: str, devices: int = 1) -> int:
    process = _start(workdir, epochs, *extra, devices=devices)
    process.join()
    return process.exitcode


def _lines(workdir: pathlib.Path) -> list[dict]:
    """`metrics.jsonl` without what depends on the clock."""
    clock = ("time_s", "train/clips_per_s")
    lines = read_lines(workdir / "metrics.jsonl")
    return [{k: v for k, v in line.items() if k not in clock} for line in lines]


def _assert_same_to_the_bit(one: pathlib.Path, other: pathlib.Path) -> None:
    """Weights, the optimiser's state, the best checkpoint, and every line of metrics."""
    trees, progress = zip(*(Checkpoints(w, keep_latest=9).restore_latest() for w in (one, other)))
    assert progress[0] == progress[1]
    jax.tree.map(np.testing.assert_array_equal, *trees)
    assert _lines(one) == _lines(other)


def _assert_close(one: pathlib.Path, other: pathlib.Path) -> None:
    ours, theirs = _lines(one), _lines(other)
    assert [(line["step"], line["epoch"]) for line in ours] == [
        (line["step"], line["epoch"]) for line in theirs
    ]
    for tag in ("train/loss", "validation/loss"):
        np.testing.assert_allclose(
            [line[tag] for line in ours if tag in line],
            [line[tag] for line in theirs if tag in line],
            rtol=1e-5,
        )
    trees = [Checkpoints(w, keep_latest=9).restore_latest()[0]["params"] for w in (one, other)]
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-5), *trees)


def _wait_for_lines(workdir: pathlib.Path, process, more: int) -> None:
    """Until so many lines were written by this start, which drops those after its checkpoint."""
    seen = len(read_lines(workdir / "metrics.jsonl"))
    while process.is_alive():
        lines = len(read_lines(workdir / "metrics.jsonl"))
        seen = min(seen, lines)
        if lines - seen >= more:
            return
        time.sleep(0.002)


def _unfinished(workdir: pathlib.Path) -> set[str]:
    """Checkpoints that are being written, or whose writing was cut short."""
    return {path.name for path in (workdir / "checkpoints").glob("*") if "tmp" in path.name}


def test_killed_at_random_moments_ends_with_the_same_weights(tmp_path):
    epochs = 2 * KILLS
    extra = ("--config.train.checkpoint_every_steps=2",)
    killed, whole = tmp_path / "killed", tmp_path / "whole"
    rng = random.Random(0)
    in_a_save, at_steps = 0, []
    for number in range(KILLS):
        left_over = _unfinished(killed)
        process = _start(killed, epochs, *extra)
        # A start gets as far on average as one share of the run, with a line per step and more.
        _wait_for_lines(killed, process, rng.randint(1, 3 * STEPS_PER_EPOCH))
        if number % 2:  # Into a save, or as soon after its beginning as this process is run.
            while process.is_alive() and not _unfinished(killed) - left_over:
                time.sleep(0.0005)
        time.sleep(rng.uniform(0, 0.02))
        process.kill()
        process.join()
        assert process.exitcode == -signal.SIGKILL, _said(killed)
        in_a_save += bool(_unfinished(killed) - left_over)
        steps = all_steps(killed)
        at_steps.append(steps[-1] if steps else 0)
    assert _train(killed, epochs, *extra) == 0, _said(killed)
    assert _train(whole, epochs, *extra) == 0, _said(whole)
    assert len(set(at_steps)) > KILLS // 3, at_steps  # They were spread over the run.
    print(f"{KILLS} kills, {in_a_save} of them in a save, after the checkpoints {at_steps}")
    _assert_same_to_the_bit(killed, whole)


def test_told_to_stop_within_an_epoch_goes_on_to_the_same_bits(tmp_path):
    cut, whole = tmp_path / "cut", tmp_path / "whole"
    stopped_at = []
    for _ in range(2):
        process = _start(cut, 3)
        _wait_for_lines(cut, process, 2)
        process.terminate()
        process.join()
        assert process.exitcode == 143, _said(cut)
        stopped_at.append(all_steps(cut)[-1])
    assert any(step % STEPS_PER_EPOCH for step in stopped_at)
    assert f"told to stop: saved after step {stopped_at[0]}; the same command" in _said(cut)
    assert _train(cut, 3) == 0, _said(cut)
    assert _train(whole, 3) == 0, _said(whole)
    _assert_same_to_the_bit(cut, whole)


def test_ten_restarts_on_other_numbers_of_devices_end_the_same(tmp_path):
    moved, whole = tmp_path / "moved", tmp_path / "whole"
    extra = (
        "--config.input.source=generator",
        "--config.input.target=reference",
        "--config.dataset.num_train=8",
        "--config.train.batch_size=8",
        "--config.train.steps_per_epoch=2",
    )
    for number, devices in enumerate((1, 2, 4, 8, 1, 8, 4, 2, 8, 2, 1), 1):
        assert _train(moved, number, *extra, devices=devices) == 0, _said(moved)
    assert len(re.findall("continuing after step", _said(moved))) == 10
    assert _train(whole, 11, *extra) == 0, _said(whole)
    _assert_close(moved, whole)


def test_two_processes_are_told_to_stop_together_and_one_goes_on(tmp_path):
    both, whole = tmp_path / "both", tmp_path / "whole"
    extra = ("--config.train.batch_size=4", "--config.train.steps_per_epoch=400")
    with socket.socket() as free:
        free.bind(("localhost", 0))
        where = f"--config.parallel.coordinator=localhost:{free.getsockname()[1]}"
    processes = [
        _start(
            both,
            1,
            *extra,
            where,
            "--config.parallel.num_processes=2",
            f"--config.parallel.process_id={index}",
            devices=2,
            log=f"log{index}",
        )
        for index in range(2)
    ]
    _wait_for_lines(both, processes[0], 3)
    processes[1].terminate()
    for index, process in enumerate(processes):
        process.join()
        assert process.exitcode == 143, _said(both, f"log{index}")
    step = all_steps(both)[-1]
    assert 3 <= step < 400
    assert "on 4 cpu devices of 2 processes (jit); batch 4, 1 per device" in _said(both, "log0")
    assert "training" not in _said(both, "log1")
    assert [line["step"] for line in _lines(both)] == list(range(1, step + 1))
    # The rest would take long and says nothing new: the same steps, with one process.
    process = _start(whole, 1, *extra)
    _wait_for_lines(whole, process, step)
    process.kill()
    process.join()
    losses = [[line["train/loss"] for line in _lines(w)[: min(step, 20)]] for w in (both, whole)]
    np.testing.assert_allclose(*losses, rtol=1e-5)


def test_a_mistake_ends_all_processes(tmp_path):
    with socket.socket() as free:
        free.bind(("localhost", 0))
        where = f"--config.parallel.coordinator=localhost:{free.getsockname()[1]}"
    workdir = tmp_path / "run"
    (workdir / "checkpoints").mkdir(parents=True)
    (workdir / "config.json").write_text("{")
    (workdir / "checkpoints" / "3" / "state").mkdir(parents=True)
    processes = [
        _start(
            workdir,
            1,
            where,
            "--config.parallel.num_processes=2",
            f"--config.parallel.process_id={index}",
            log=f"log{index}",
        )
        for index in range(2)
    ]
    for index, process in enumerate(processes):
        process.join(300)
        assert process.exitcode == 2
        assert "config.json: cannot be read" in _said(workdir, f"log{index}")


@pytest.fixture
def small_disk(tmp_path):
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=600k", "tmpfs", str(disk)]
    if os.geteuid() != 0 or subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("a small disk can be mounted by root alone")
    yield disk
    subprocess.run(["umount", str(disk)], check=True)


def test_a_full_disk_has_one_error_line_and_leaves_the_earlier_checkpoints(small_disk):
    workdir = small_disk  # Its log is beside it.
    process = _start(workdir, 99, "--config.train.keep_checkpoints=99")
    process.join()
    said = _said(workdir)
    assert process.exitcode == 2, said
    errors = [line for line in said.splitlines() if line.startswith("error: ")]
    assert len(errors) == 1
    assert re.search(rf"cannot write to {workdir}\S*: No space left on device", errors[0])
    steps = all_steps(workdir)
    assert len(steps) >= 2
    tree, progress = Checkpoints(workdir, keep_latest=9).restore_latest()
    assert progress.step == tree["step"] == steps[-1]


def test_two_trainings_in_one_folder(tmp_path):
    """One goes on as if it were alone, the other is refused in one line.

    `ECHODFKD_PAIRS=50` has as many pairs.
    """
    rng = random.Random(0)
    alone = tmp_path / "alone"
    assert _train(alone, 3) == 0
    refused = 0
    for number in range(int(os.environ.get("ECHODFKD_PAIRS", "3"))):
        workdir = tmp_path / f"pair{number}"
        first = _start(workdir, 3, log="log0")
        time.sleep(rng.uniform(0, 3))
        second = _start(workdir, 3, log="log1")
        for process in (first, second):
            process.join(1200)  # A hang is a failure; a busy machine is none.
        said = [_said(workdir, f"log{index}") for index in (0, 1)]
        for process, text in zip((first, second), said):
            if process.exitcode:
                refused += 1
                assert process.exitcode == 2, text
                errors = [line for line in text.splitlines() if line.startswith("error: ")]
                assert len(errors) == 1 and "another training is writing there" in errors[0]
        assert 0 in (first.exitcode, second.exitcode), said
        _assert_same_to_the_bit(alone, workdir)
    assert refused


def test_the_lock_of_a_killed_training_does_not_bar(tmp_path):
    workdir = tmp_path / "run"
    killed = _start(workdir, 30)
    _wait_for_lines(workdir, killed, 3)
    killed.kill()
    killed.join()
    assert _train(workdir, 30, "--config.train.num_epochs=30") == 0
