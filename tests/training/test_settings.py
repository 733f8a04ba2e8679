import pytest

from configs import synthetic
from echodfkd_jax.errors import UserError
from echodfkd_jax.training.settings import InputSettings, ParallelSettings, TrainSettings


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("batch_size", 0, "config.train.batch_size=0: expected 1 or more"),
        ("num_epochs", -1, "config.train.num_epochs=-1: expected 1 or more"),
        ("accumulate_steps", 0, "config.train.accumulate_steps=0: expected 1 or more"),
        ("checkpoint_every_steps", -1, "config.train.checkpoint_every_steps=-1: expected 0 or"),
        ("patience", -1, "config.train.patience=-1: expected 0 or more"),
        ("learning_rate", 0.0, "config.train.learning_rate=0.0: expected a number above 0"),
        ("learning_rate", float("nan"), "config.train.learning_rate=nan"),
        ("schedule", "linear", "config.train.schedule='linear': expected 'constant' or 'cosine'"),
    ],
)
def test_impossible_training_values_are_named(field, value, message):
    fields = dict(synthetic.get_config().train) | {field: value}
    with pytest.raises(UserError, match=message):
        TrainSettings(**fields)


def test_impossible_input_values_are_named():
    fields = dict(synthetic.get_config().input)
    with pytest.raises(UserError, match=r"config.input.source='disk': expected 'dataset' or"):
        InputSettings(**(fields | {"source": "disk"}))
    with pytest.raises(UserError, match=r"config.input.window_frames=0: expected 1 or more"):
        InputSettings(**(fields | {"window_frames": 0}))
    with pytest.raises(UserError, match=r"config.input.subsample=3: expected 1 or 2"):
        InputSettings(**(fields | {"subsample": 3}))


def test_impossible_mode_is_named():
    with pytest.raises(UserError, match=r"config.parallel.mode='xmap': expected 'jit' or 'pmap'"):
        ParallelSettings(mode="xmap")


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        (("here", 1, 0), "config.parallel.coordinator='here': expected 'auto', HOST:PORT"),
        (("host:1", 0, 0), "config.parallel.num_processes=0: expected 1 or more"),
        (("host:1", 2, 2), "config.parallel.process_id=2: expected one of 0 to 1"),
    ],
)
def test_impossible_processes_are_named(fields, message):
    with pytest.raises(UserError, match=message):
        ParallelSettings("jit", *fields)
