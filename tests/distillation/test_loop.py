import types

import jax.numpy as jnp
import numpy as np
import pytest

from configs import synthetic
from echodfkd_jax.distillation import loop
from echodfkd_jax.distillation.checkpoints import Checkpoints, Progress, all_steps
from echodfkd_jax.distillation.input import GeneratorInput
from echodfkd_jax.distillation.monitor import Monitor
from echodfkd_jax.distillation.parallel import Parallel
from echodfkd_jax.distillation.settings import InputSettings, ParallelSettings, TrainSettings
from echodfkd_jax.distillation.state import TrainState
from echodfkd_jax.errors import UserError


def _settings(**changes):
    fields = {"batch_size": 1, "num_epochs": 9, "patience": 2, "keep_checkpoints": 9}
    return TrainSettings(**(dict(synthetic.get_config().train) | fields | changes))


def _fit(workdir, settings, validation_losses, *, progress=None, train_loss=1.0):
    """Two steps per epoch on a state that only counts; epoch e scores `validation_losses[e-1]`."""
    progress = progress or Progress()

    def train_step(state, batch):
        loss = jnp.float32(train_loss)
        finite = jnp.isfinite(loss).astype(jnp.float32)
        metrics = {"loss_sum": loss, "count": jnp.float32(1), "grad_norm": loss, "finite": finite}
        return state.replace(step=state.step + 1), metrics

    epochs = iter(validation_losses[progress.epoch :])

    def eval_step(variables, batch):
        loss = jnp.float32(next(epochs))
        return {"loss_sum": loss, "dice_sum": jnp.float32(0.5), "count": jnp.float32(1)}

    data = GeneratorInput(
        lambda key, num_frames: None,
        InputSettings(**dict(synthetic.get_config().input)),
        batch_size=1,
        num_train=2,
        num_validation=1,
        seed=0,
    )
    written, examples = [], []
    checkpoints = Checkpoints(workdir, keep_latest=settings.keep_checkpoints)
    monitor = Monitor(
        write=lambda step, scalars: None,
        learning_rate=lambda step: 0.1,
        log_every_steps=1,
        batch_size=1,
        first_step=progress.step,
        num_steps=18,
        last_saved=lambda: "no checkpoint",
    )
    state = TrainState(jnp.int32(progress.step), {"w": jnp.zeros(1)}, {}, {})
    try:
        end = loop.fit(
            state,
            progress,
            data=data,
            settings=settings,
            steps_per_epoch=2,
            parallel=Parallel(ParallelSettings("jit"), 1),
            train_step=train_step,
            eval_step=eval_step,
            checkpoints=checkpoints,
            monitor=monitor,
            write_scalars=lambda step, epoch, scalars: written.append((step, epoch, scalars)),
            write_examples=lambda state, epoch, step: examples.append(epoch),
        )
    finally:
        checkpoints.close()
    return types.SimpleNamespace(progress=end, written=written, examples=examples)


def test_stops_after_patience_epochs_without_a_better_loss(tmp_path):
    done = _fit(tmp_path, _settings(), [0.5, 0.4, 0.4, 0.6, 0.1])
    assert done.progress.epoch == 4
    assert done.progress.best_step == 4
    assert loop.finished(done.progress, _settings()) == "no better validation loss for 2 epochs"


def test_runs_all_epochs_without_patience(tmp_path):
    done = _fit(tmp_path, _settings(patience=0, num_epochs=5), [0.1, 0.2, 0.3, 0.4, 0.5])
    assert done.progress.epoch == 5
    assert all_steps(tmp_path) == [2, 4, 6, 8, 10]


def test_validation_is_written_per_epoch(tmp_path):
    done = _fit(tmp_path, _settings(num_epochs=2, image_every_epochs=2), [0.5, 0.25])
    assert [(step, epoch) for step, epoch, _ in done.written] == [(2, 1), (4, 2)]
    assert done.written[1][2] == {"validation/loss": 0.25, "validation/dice": 0.5}
    assert done.examples == [2]


def test_continues_where_it_was(tmp_path):
    settings = _settings(num_epochs=3, patience=0)
    whole = _fit(tmp_path / "whole", settings, [0.5, 0.4, 0.3])
    half = _fit(tmp_path / "half", _settings(num_epochs=1, patience=0), [0.5])
    rest = _fit(tmp_path / "half", settings, [0.5, 0.4, 0.3], progress=half.progress)
    assert rest.progress == whole.progress
    trees = [
        Checkpoints(tmp_path / n, keep_latest=9).restore_latest()[0] for n in ("whole", "half")
    ]
    np.testing.assert_array_equal(trees[0]["step"], trees[1]["step"])


def test_nothing_is_saved_from_a_loss_that_is_not_finite(tmp_path):
    with pytest.raises(UserError, match="no longer finite in steps 1 to 1"):
        _fit(tmp_path, _settings(), [0.5], train_loss=float("nan"))
    assert all_steps(tmp_path) == []


def test_nothing_is_saved_from_a_validation_loss_that_is_not_finite(tmp_path):
    with pytest.raises(UserError, match="validation loss is not finite after step 4"):
        _fit(tmp_path, _settings(), [0.5, float("nan")])
    assert all_steps(tmp_path) == [2]
