"""The evaluation that runs beside a training, as two real processes (`stand_in_main`)."""

import re

import pytest

from echodfkd_jax.evaluation import files
from echodfkd_jax.jobs import evaluate
from tests.jobs import made_up_run, stand_in_main

EPOCHS = 6


@pytest.mark.slow
def test_every_checkpoint_of_a_concurrent_training_is_scored_once_and_in_order(
    tmp_path, monkeypatch
):
    monkeypatch.setenv("JAX_PLATFORMS", "cpu")
    clips = made_up_run.save_clips(tmp_path / "clips", names=("a",))
    workdir = tmp_path / "run"
    common = [
        "--config=configs/synthetic.py:smoke",
        f"--config.workdir={workdir}",
        "--config.teacher.name=precomputed",
    ]
    watcher = stand_in_main.start(
        [
            *common,
            "--stage=evaluate",
            "--config.eval.watch=True",
            "--config.eval.poll_s=0.1",
            "--config.eval.bootstrap_samples=50",
            f"--config.eval.clips_dir={clips}",
        ],
        tmp_path / "watcher.log",
    )
    training = stand_in_main.start(
        [
            *common,
            "--stage=train",
            "--config.train.batch_size=2",
            "--config.train.steps_per_epoch=4",
            "--config.train.checkpoint_every_steps=2",
            f"--config.train.num_epochs={EPOCHS}",
            "--config.train.keep_checkpoints=1",  # All but the best would be gone at once.
            "--config.train.image_every_epochs=0",
            "--config.model.blocks=1",
            "--config.model.filters=2",
        ],
        tmp_path / "training.log",
    )
    training.join()
    watcher.join()
    said = (tmp_path / "watcher.log").read_text()
    assert training.exitcode == 0, (tmp_path / "training.log").read_text()
    assert watcher.exitcode == 0, said
    steps = list(range(2, 4 * EPOCHS + 1, 2))
    assert [int(step) for step in re.findall(r"evaluating step (\d+) on", said)] == steps
    assert f"{len(steps)} checkpoints were evaluated" in said
    assert "deleted before" not in said
    folder = files.folder(workdir, "clips") / evaluate.WATCHED
    assert sorted(int(path.name) for path in folder.iterdir()) == steps
