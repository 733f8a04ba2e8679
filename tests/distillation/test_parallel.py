"""The same numbers on any number of devices, in both modes; in processes of their own.

The number of devices is fixed when JAX starts, so each case is one process that prints JSON.
"""

import json
import os
import pathlib
import subprocess
import sys

import numpy as np
import pytest

from echodfkd_jax.distillation.parallel import Parallel
from echodfkd_jax.distillation.settings import ParallelSettings
from echodfkd_jax.errors import UserError

ROOT = pathlib.Path(__file__).parents[2]

# Twenty steps of a small ConvLSTM, batch 8: noise, brighter where the target is.
_PROGRAM = """
import functools, json, sys
import jax, numpy as np
from flax import traverse_util
from configs import synthetic
from echodfkd_jax.distillation.models import build_model
from echodfkd_jax.distillation.parallel import Parallel
from echodfkd_jax.distillation.settings import ParallelSettings, TrainSettings
from echodfkd_jax.distillation.state import create_state, make_optimizer, make_schedule
from echodfkd_jax.distillation.step import eval_step, train_step

mode = sys.argv[1]
plain = dict(clip_norm=1.0, learning_rate=1e-3, schedule="constant", warmup_steps=0)
settings = TrainSettings(**(dict(synthetic.get_config().train) | plain))
parallel = Parallel(ParallelSettings(mode), 8)
fields = dict(name="convlstm", blocks=2, layers=1, filters=4, stride=1)
optimizer = make_optimizer(settings, make_schedule(settings, 20))
state = create_state(build_model(**fields), optimizer, 0, frame_shape=(8, 8))
model = build_model(**fields, axis_name=parallel.axis_name)
common = dict(model=model, expand=lambda batch: batch, axis_name=parallel.axis_name)
train = parallel.compile(functools.partial(train_step, optimizer=optimizer, **common), donate=True)
score = parallel.compile(functools.partial(eval_step, **common))
rng = np.random.default_rng(0)
state = parallel.replicate(state)
losses, norms = [], []
for step in range(20):
    inside = np.zeros((8, 3, 8, 8, 1), bool)
    inside[:, :, :, : 3 + step % 3] = True
    target = np.where(inside, 255, 0).astype(np.uint8)
    video = (rng.integers(0, 100, target.shape) + 100 * inside).astype(np.uint8)
    state, metrics = train(state, parallel.shard({"video": video, "target": target}))
    metrics = parallel.first(metrics)
    losses.append(float(metrics["loss_sum"] / metrics["count"]))
    norms.append(float(metrics["grad_norm"]))
batch = {"video": video, "target": target, "weight": np.array([1, 1, 1, 1, 1, 0, 0, 0], np.float32)}
scores = parallel.first(score(state.variables, parallel.shard(batch)))
stats = traverse_util.flatten_dict(parallel.first(state.batch_stats), sep="/")
# Normalisation takes the decoder's bias out again, so its gradient is 0 but for rounding, which
# Adam scales up to whole steps: the bias wanders, and the mean after it, and nothing else does.
del stats["decoder_norm_0/mean"]
print(json.dumps({
    "devices": len(parallel.devices), "losses": losses, "norms": norms,
    "stats": [float(stats[name].sum()) for name in sorted(stats)],
    "scores": {k: float(v) for k, v in sorted(scores.items())},
}))
"""


def _run(mode: str, devices: int) -> dict:
    flags = f"--xla_force_host_platform_device_count={devices}"
    done = subprocess.run(
        [sys.executable, "-c", _PROGRAM, mode],
        cwd=ROOT,
        env=os.environ | {"XLA_FLAGS": flags, "JAX_PLATFORMS": "cpu"},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


@pytest.fixture(scope="module")
def one_device() -> dict:
    return _run("jit", 1)


@pytest.mark.slow
@pytest.mark.parametrize(("mode", "devices"), [("pmap", 1), ("jit", 2), ("pmap", 4), ("jit", 8)])
def test_devices_and_mode_do_not_change_the_numbers(one_device, mode, devices):
    many = _run(mode, devices)
    assert many["devices"] == devices
    np.testing.assert_allclose(many["losses"], one_device["losses"], rtol=1e-5)
    np.testing.assert_allclose(many["norms"], one_device["norms"], rtol=1e-4)
    np.testing.assert_allclose(many["stats"], one_device["stats"], rtol=1e-4)
    assert many["scores"]["count"] == 5.0
    assert one_device["scores"]["dice_sum"] > 1.0
    for name, value in one_device["scores"].items():
        np.testing.assert_allclose(many["scores"][name], value, rtol=1e-4)


@pytest.mark.slow
def test_training_lowers_the_loss(one_device):
    assert one_device["losses"][-1] < one_device["losses"][0]


def test_batch_has_to_divide():
    import jax

    with pytest.raises(
        UserError,
        match=r"config.train.batch_size=30 does not divide over 4 devices; use a multiple of 4",
    ):
        Parallel(ParallelSettings("jit"), 30, devices=jax.devices() * 4)
