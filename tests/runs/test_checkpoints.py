import dataclasses
import logging
import pathlib
import subprocess
import sys

import numpy as np
import orbax.checkpoint as ocp
import pytest

from echodfkd_jax.errors import UserError
from echodfkd_jax.runs import watch
from echodfkd_jax.runs.checkpoints import Checkpoints, all_steps, restore_variables
from echodfkd_jax.runs.progress import Progress


def _tree(value):
    kernel = np.arange(4000, dtype=np.float32).reshape(40, 100) + value
    return {
        "step": np.asarray(value, np.int32),
        "params": {"conv": {"kernel": kernel}},
        "batch_stats": {"norm": {"mean": np.full(3, value, np.float32)}},
        "opt_state": {"0": {}, "1": {"count": np.asarray(value, np.int32)}},
    }


def _train(workdir, losses, keep_latest=2):
    """One checkpoint every ten steps."""
    progress = Progress()
    checkpoints = Checkpoints(workdir, keep_latest=keep_latest)
    for i, loss in enumerate(losses, start=1):
        progress = progress.after_epoch(10 * i, loss)
        checkpoints.save(_tree(10 * i), progress)
    checkpoints.close()
    return progress


def _largest_file(folder):
    return max((p for p in folder.rglob("*") if p.is_file()), key=lambda p: p.stat().st_size)


def _flip(path: pathlib.Path, position: int) -> None:
    data = bytearray(path.read_bytes())
    data[position] ^= 1
    path.write_bytes(bytes(data))


def test_progress_counts_epochs_without_improvement():
    progress = Progress()
    for step, loss in ((10, 0.5), (20, 0.4), (30, 0.4), (40, 0.6)):
        progress = progress.after_epoch(step, loss)
    assert progress == Progress(40, 4, 0.6, 0.4, 20, 2)


def test_latest_and_best_are_kept(tmp_path):
    _train(tmp_path, [0.5, 0.1, 0.4, 0.3, 0.2])
    assert all_steps(tmp_path) == [20, 40, 50]


def test_restore_gives_what_was_saved(tmp_path):
    progress = _train(tmp_path, [0.5, 0.1, 0.4])
    tree, restored = Checkpoints(tmp_path, keep_latest=2).restore_latest()
    assert restored == progress
    np.testing.assert_array_equal(
        tree["params"]["conv"]["kernel"], _tree(30)["params"]["conv"]["kernel"]
    )
    assert tree["step"] == 30


def test_best_latest_and_step(tmp_path):
    _train(tmp_path, [0.5, 0.1, 0.4])
    for which, step in (("best", 20), ("latest", 30), (20, 20), ("30", 30)):
        variables, info = restore_variables(tmp_path, which)
        assert info["step"] == step
        np.testing.assert_array_equal(variables["batch_stats"]["norm"]["mean"], [step] * 3)
        assert set(variables) == {"params", "batch_stats"}


def test_unknown_step_names_those_that_exist(tmp_path):
    _train(tmp_path, [0.5, 0.1])
    with pytest.raises(UserError, match=r"config.student.checkpoint='7'.*10, 20"):
        restore_variables(tmp_path, "7")


def test_no_checkpoint(tmp_path):
    assert Checkpoints(tmp_path, keep_latest=1).restore_latest() is None
    with pytest.raises(UserError, match="run --stage=train first"):
        restore_variables(tmp_path)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("fraction", [0.1, 0.5, 0.9])
def test_one_flipped_bit_falls_back(tmp_path, caplog, fraction):
    _train(tmp_path, [0.5, 0.4, 0.3])
    file = _largest_file(tmp_path / "checkpoints" / "30")
    _flip(file, int(file.stat().st_size * fraction))
    with caplog.at_level(logging.WARNING):
        _, progress = Checkpoints(tmp_path, keep_latest=2).restore_latest()
    assert progress.step == 20
    assert str(tmp_path / "checkpoints" / "30") in caplog.text
    assert (tmp_path / "checkpoints_damaged" / "30").is_dir()


def test_empty_folder_falls_back(tmp_path, caplog):
    _train(tmp_path, [0.5, 0.4])
    (tmp_path / "checkpoints" / "30").mkdir()
    assert restore_variables(tmp_path, "latest")[1]["step"] == 20
    assert "30 is empty" in caplog.text
    assert (tmp_path / "checkpoints" / "30").exists()


def test_training_goes_on_over_a_damaged_step(tmp_path):
    _train(tmp_path, [0.5, 0.4])
    file = _largest_file(tmp_path / "checkpoints" / "20")
    _flip(file, file.stat().st_size // 2)
    checkpoints = Checkpoints(tmp_path, keep_latest=2)
    _, progress = checkpoints.restore_latest()
    checkpoints.save(_tree(20), progress.after_epoch(20, 0.4))
    checkpoints.close()
    assert restore_variables(tmp_path, "latest")[1]["step"] == 20


def test_damaged_best_falls_back_to_the_next_best(tmp_path):
    _train(tmp_path, [0.5, 0.1, 0.4])
    file = _largest_file(tmp_path / "checkpoints" / "20")
    _flip(file, file.stat().st_size // 2)
    assert restore_variables(tmp_path, "best")[1]["step"] == 30
    with pytest.raises(UserError, match=r"20 .*; use another"):
        restore_variables(tmp_path, 20)


@pytest.mark.parametrize("damage", ["truncated", "flipped", "removed"])
def test_each_file_of_the_newest_step_damaged_in_turn(tmp_path, caplog, damage):
    """The step before is used, with a warning that names the damaged file."""
    _train(tmp_path, [0.5, 0.4])
    newest = tmp_path / "checkpoints" / "20"
    files = sorted(p for p in newest.rglob("*") if p.is_file())
    assert len(files) >= 8
    for file in files:
        if damage == "removed" and file.name == "files.sha256":
            continue  # Without the sums the checkpoint is still whole.
        whole = file.read_bytes()
        if damage == "removed":
            file.unlink()
        elif damage == "truncated":
            file.write_bytes(whole[: len(whole) // 2])
        else:
            _flip(file, len(whole) // 2)
        caplog.clear()
        variables, info = restore_variables(tmp_path, "latest")
        assert info["step"] == 10, file
        assert str(file) in caplog.text
        kernel = _tree(10)["params"]["conv"]["kernel"]
        np.testing.assert_array_equal(variables["params"]["conv"]["kernel"], kernel)
        file.write_bytes(whole)
    assert restore_variables(tmp_path, "latest")[1]["step"] == 20


@pytest.mark.parametrize("fraction", [0.1, 0.5, 0.9])
def test_one_flipped_bit_is_noticed_without_the_sums_of_the_files(tmp_path, caplog, fraction):
    """As a kill between the save and its sums leaves it."""
    _train(tmp_path, [0.5, 0.4])
    newest = tmp_path / "checkpoints" / "20"
    (newest / "files.sha256").unlink()
    file = _largest_file(newest)
    _flip(file, int(file.stat().st_size * fraction))
    assert restore_variables(tmp_path, "latest")[1]["step"] == 10
    assert str(newest) in caplog.text


def test_within_an_epoch_nothing_is_the_best(tmp_path):
    progress = _train(tmp_path, [0.5, 0.4])
    checkpoints = Checkpoints(tmp_path, keep_latest=2)
    checkpoints.save(_tree(25), progress.within_epoch(25, {"epoch_count": 2.0}))
    checkpoints.close()
    assert restore_variables(tmp_path, "best")[1]["step"] == 20
    assert restore_variables(tmp_path, "latest")[1]["sums"] == {"epoch_count": 2.0}


def test_what_a_watching_evaluation_has_not_scored_is_kept(tmp_path):
    with watch.watching(tmp_path) as scored:
        _train(tmp_path, [0.5, 0.1, 0.4, 0.3])
        assert all_steps(tmp_path) == [10, 20, 30, 40]
        scored(30)
        checkpoints = Checkpoints(tmp_path, keep_latest=1)
        progress = checkpoints.restore_latest()[1]
        checkpoints.save(_tree(50), progress.after_epoch(50, 0.2))
        checkpoints.close()
        assert all_steps(tmp_path) == [20, 40, 50]


def test_two_evaluations_do_not_watch_one_run(tmp_path):
    code = (
        "from echodfkd_jax.runs import watch; from echodfkd_jax.errors import UserError\n"
        f"try:\n  with watch.watching({str(tmp_path)!r}): print('watches')\n"
        "except UserError as error: print(error)"
    )
    with watch.watching(tmp_path):
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert "is watched by another evaluation" in done.stdout


def test_a_full_disk_is_one_line_and_leaves_the_earlier_checkpoints(tmp_path, monkeypatch):
    _train(tmp_path, [0.5])
    checkpoints = Checkpoints(tmp_path, keep_latest=2)
    progress = checkpoints.restore_latest()[1]

    def full(self, *args, **kwargs):
        raise ValueError("DATA_LOSS: error writing d/x: OS error 28: No space left on device")

    monkeypatch.setattr(ocp.CheckpointManager, "save", full)
    with pytest.raises(UserError) as caught:
        checkpoints.save(_tree(20), progress.after_epoch(20, 0.4))
    assert str(caught.value) == (
        f"cannot write to {tmp_path / 'checkpoints'}: No space left on device; "
        "make room there or name another folder, earlier files are untouched"
    )
    assert restore_variables(tmp_path, "latest")[1]["step"] == 10


def test_a_save_that_orbax_refuses_is_an_error(tmp_path):
    progress = Progress().after_epoch(10, 0.5)
    checkpoints = Checkpoints(tmp_path, keep_latest=2)
    checkpoints.save(_tree(10), progress)
    with pytest.raises(RuntimeError, match="did not save step 10"):
        checkpoints.save(_tree(10), dataclasses.replace(progress, epoch=2))
    checkpoints.close()
