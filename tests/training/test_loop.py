import types

import jax.numpy as jnp
import numpy as np
import pytest

from configs import synthetic
from echodfkd_jax.errors import PreemptedError, UserError
from echodfkd_jax.runs.checkpoints import Checkpoints, all_steps
from echodfkd_jax.runs.progress import Progress
from echodfkd_jax.settings import InputSettings, ParallelSettings, TrainSettings
from echodfkd_jax.training import loop
from echodfkd_jax.training.input import GeneratorInput
from echodfkd_jax.training.monitor import Monitor
from echodfkd_jax.training.parallel import Parallel
from echodfkd_jax.training.state import TrainState


def _settings(**changes):
    fields = {"batch_size": 1, "num_epochs": 9, "patience": 2, "keep_checkpoints": 9}
    fields |= {"log_every_steps": 1}
    return TrainSettings(**(dict(synthetic.get_config().train) | fields | changes))


def _fit(
    workdir, settings, validation_losses, *, progress=None, train_loss=1.0, stop_at=0, epoch_steps=2
):
    """A state that only counts; the loss of step s is `train_loss` + s; told to stop at `stop_at`.

    Epoch e scores `validation_losses[e-1]`.
    """
    progress = progress or Progress()

    def train_step(state, batch):
        loss = jnp.float32(train_loss) + state.step
        finite = jnp.isfinite(loss).astype(jnp.float32)
        metrics = {"loss_sum": loss, "count": jnp.float32(1), "grad_norm": loss, "finite": finite}
        return state.replace(step=state.step + 1), metrics

    epochs = iter(validation_losses[progress.epoch :])

    def eval_step(variables, batch):
        loss = jnp.float32(next(epochs))
        return {"loss_sum": loss, "dice_sum": jnp.float32(0.5), "count": jnp.float32(1)}

    data = GeneratorInput(
        lambda key, *, num_frames, train: (key, key),  # Nothing is made: the steps only count.
        InputSettings(**dict(synthetic.get_config().input)),
        batch_size=1,
        num_train=epoch_steps,
        num_validation=1,
        seed=0,
    )
    written, examples, lines = [], [], []
    checkpoints = Checkpoints(workdir, keep_latest=settings.keep_checkpoints)
    monitor = Monitor(
        write=lambda step, scalars: lines.append((step, scalars["train/loss"])),
        learning_rate=lambda step: 0.1,
        log_every_steps=settings.log_every_steps,
        batch_size=1,
        first_step=progress.step,
        num_steps=18,
        last_saved=lambda: "no checkpoint",
        sums=progress.sums,
    )
    told = []
    monitor.say = told.append
    state = TrainState(jnp.int32(progress.step), {"w": jnp.zeros(1)}, {}, {})
    try:
        end = loop.fit(
            state,
            progress,
            data=data,
            settings=settings,
            steps_per_epoch=epoch_steps,
            parallel=Parallel(ParallelSettings("jit"), 1),
            train_step=train_step,
            eval_step=eval_step,
            checkpoints=checkpoints,
            monitor=monitor,
            write_scalars=lambda step, epoch, scalars: written.append((step, epoch, scalars)),
            write_examples=lambda state, epoch, step: examples.append(epoch),
            told_to_stop=lambda step: step == stop_at,
        )
    finally:
        checkpoints.close()
    return types.SimpleNamespace(
        progress=end, written=written, examples=examples, lines=lines, told=told
    )


def reason(done, settings):
    return done.progress.finished(num_epochs=settings.num_epochs, patience=settings.patience)


def test_stops_after_patience_epochs_without_a_better_loss(tmp_path):
    done = _fit(tmp_path, _settings(), [0.5, 0.4, 0.4, 0.6, 0.1])
    assert done.progress.epoch == 4
    assert done.progress.best_step == 4
    assert (
        done.progress.finished(num_epochs=_settings().num_epochs, patience=_settings().patience)
        == "no better validation loss for 2 epochs"
    )


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


def _restored(workdir):
    return Checkpoints(workdir, keep_latest=9).restore_latest()[1]


def test_told_to_stop_saves_after_that_step_and_goes_on_with_the_same_lines(tmp_path):
    settings = _settings(num_epochs=2, patience=0, log_every_steps=4)
    whole = _fit(tmp_path / "whole", settings, [0.5, 0.4], epoch_steps=6)
    with pytest.raises(PreemptedError, match="saved after step 3"):
        _fit(tmp_path / "cut", settings, [0.5, 0.4], epoch_steps=6, stop_at=3)
    progress = _restored(tmp_path / "cut")
    assert (progress.step, progress.epoch, progress.validation_loss) == (3, 0, None)
    rest = _fit(tmp_path / "cut", settings, [0.5, 0.4], epoch_steps=6, progress=progress)
    assert rest.progress == whole.progress
    # Mean losses of steps 1 to 4, 5 to 6, ...: that of step 4 has three steps from before the stop.
    assert rest.lines == whole.lines == [(4, 2.5), (6, 5.5), (8, 7.5), (12, 10.5)]
    said = [text for text in rest.told if text.startswith("epoch")]
    assert said == [text for text in whole.told if text.startswith("epoch")]
    assert said[0].startswith("epoch 1/2, step 6: train loss 3.5000")


def test_told_to_stop_at_the_end_of_an_epoch_validates_first(tmp_path):
    with pytest.raises(PreemptedError, match="saved after step 2"):
        _fit(tmp_path, _settings(), [0.5, 0.4], stop_at=2)
    assert _restored(tmp_path) == Progress(2, 1, 0.5, 0.5, 2, 0)


def test_told_to_stop_at_the_last_step_of_all_ends_the_run(tmp_path):
    done = _fit(tmp_path, _settings(num_epochs=1), [0.5], stop_at=2)
    assert (
        done.progress.finished(
            num_epochs=_settings(num_epochs=1).num_epochs, patience=_settings(num_epochs=1).patience
        )
        == "1 epochs"
    )


def test_checkpoints_within_an_epoch(tmp_path):
    settings = _settings(num_epochs=1, checkpoint_every_steps=2)
    _fit(tmp_path, settings, [0.5], epoch_steps=6)
    assert all_steps(tmp_path) == [2, 4, 6]
