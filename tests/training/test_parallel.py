"""The same numbers on any number of devices and processes, in both modes (`twenty_steps.py`).

The number of devices is fixed when JAX starts, so the cases run in processes of their own.
"""

import json
import os
import pathlib
import socket
import subprocess
import sys

import jax
import numpy as np
import pytest

from echodfkd_jax.errors import UserError
from echodfkd_jax.settings import ParallelSettings
from echodfkd_jax.training import parallel
from echodfkd_jax.training.parallel import Parallel

ROOT = pathlib.Path(__file__).parents[2]
ALONE = [("jit", 1), ("jit", 2), ("jit", 4), ("jit", 8), ("pmap", 1), ("pmap", 2), ("pmap", 4)]
ALONE += [("pmap", 8)]


def _start(cases: list[dict], devices: int, *where: str) -> subprocess.Popen:
    flags = f"--xla_force_host_platform_device_count={devices}"
    return subprocess.Popen(
        [sys.executable, "tests/training/twenty_steps.py", json.dumps(cases), *where],
        cwd=ROOT,
        env=os.environ | {"XLA_FLAGS": flags, "JAX_PLATFORMS": "cpu"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def _results(process: subprocess.Popen) -> list[dict]:
    printed, errors = process.communicate(timeout=1500)
    assert process.returncode == 0, errors
    return [json.loads(line) for line in printed.splitlines() if line.startswith("{")]


@pytest.fixture(scope="module")
def alone() -> dict[tuple[str, int], dict]:
    """One process with eight devices."""
    cases = [{"mode": mode, "devices": devices} for mode, devices in ALONE]
    return dict(zip(ALONE, _results(_start(cases, 8))))


@pytest.fixture(scope="module")
def together() -> list[list[dict]]:
    """Two processes with two devices each; "jit", "pmap", and "jit" in two micro-batches."""
    with socket.socket() as free:
        free.bind(("localhost", 0))
        where = f"localhost:{free.getsockname()[1]}"
    cases = [{"mode": "jit"}, {"mode": "pmap"}, {"mode": "jit", "micro_batches": 2}]
    processes = [_start(cases, 2, where, str(index)) for index in range(2)]
    return [_results(process) for process in processes]


def _assert_same(one: dict, other: dict) -> None:
    np.testing.assert_allclose(one["losses"], other["losses"], rtol=1e-5)
    np.testing.assert_allclose(one["norms"], other["norms"], rtol=1e-4)
    np.testing.assert_allclose(one["stats"], other["stats"], rtol=1e-4)
    assert one["scores"]["count"] == other["scores"]["count"] == 5.0
    for name, value in other["scores"].items():
        np.testing.assert_allclose(one["scores"][name], value, rtol=1e-4)


@pytest.mark.slow
@pytest.mark.parametrize("case", ALONE[1:])
def test_devices_and_mode_do_not_change_the_numbers(alone, case):
    assert alone[case]["devices"] == case[1]
    _assert_same(alone[case], alone["jit", 1])


@pytest.mark.slow
def test_training_lowers_the_loss(alone):
    one = alone["jit", 1]
    assert one["losses"][-1] < one["losses"][0]
    assert one["scores"]["dice_sum"] > 1.0


@pytest.mark.slow
@pytest.mark.parametrize(("number", "mode"), [(0, "jit"), (1, "pmap")])
def test_two_processes_give_the_numbers_of_one(alone, together, number, mode):
    first, second = (results[number] for results in together)
    assert (first["devices"], first["processes"]) == (4, 2)
    assert first == second
    _assert_same(first, alone[mode, 4])
    _assert_same(first, alone["jit", 1])


@pytest.mark.slow
def test_micro_batches_are_the_same_on_any_number_of_devices(alone, together):
    cases = [
        {"mode": "jit", "devices": 1, "micro_batches": 2},
        {"mode": "pmap", "devices": 4, "micro_batches": 2},
    ]
    one, four = _results(_start(cases, 4))
    _assert_same(four, one)
    _assert_same(together[0][2], one)
    # Statistics of four clips instead of eight: another loss.
    assert abs(one["losses"][0] - alone["jit", 1]["losses"][0]) > 1e-6


@pytest.mark.slow
def test_statistics_per_device_differ_and_agree_between_the_modes(alone):
    own = {"devices": 4, "sync_batch_norm": False}
    jit, pmap = _results(_start([{"mode": "jit", **own}, {"mode": "pmap", **own}], 4))
    _assert_same(jit, pmap)
    assert abs(jit["losses"][0] - alone["jit", 4]["losses"][0]) > 1e-6


@pytest.mark.slow
def test_what_the_first_process_says_all_hear(together):
    assert [results[0]["from_first"] for results in together] == [0, 0]


def test_batch_has_to_divide():
    with pytest.raises(
        UserError,
        match=r"config.train.batch_size=30 does not divide over 4 devices; use a multiple of 4",
    ):
        Parallel(ParallelSettings("jit"), 30, devices=jax.devices()[:1] * 4)


def test_batch_has_to_divide_into_micro_batches_too():
    with pytest.raises(UserError, match=r"accumulate_steps=3 micro-batches; use a multiple of 6"):
        Parallel(ParallelSettings("jit"), 8, devices=jax.devices()[:1] * 2, accumulate_steps=3)


def test_auto_without_a_cluster_is_one_line(monkeypatch):
    def initialize(**told):
        assert told == {}
        raise ValueError("coordinator_address should be defined.")

    monkeypatch.setattr(jax.distributed, "initialize", initialize)
    with pytest.raises(UserError, match=r"coordinator='auto': .*should be defined.*docs/launching"):
        parallel.join(ParallelSettings("jit", "auto"))


def test_alone_the_first_process_is_this_one():
    assert parallel.on_first(lambda: {"a": 1.5}) == {"a": 1.5}
    with pytest.raises(UserError, match="no"):
        parallel.on_first(_refuse)


def _refuse():
    raise UserError("no")


_PREDICT = """
import jax, numpy as np
from echodfkd_jax.training.parallel import over_local_devices
from echodfkd_jax.networks.loaded import LoadedNetwork
from echodfkd_jax.networks import ConvLSTMUNet
from echodfkd_jax.networks.inference import predict_clips

model = ConvLSTMUNet(blocks=1, layers=1, filters=2)
variables = model.init(jax.random.key(0), np.zeros((1, 1, 8, 8, 1), np.float32))
clips = np.random.default_rng(0).integers(0, 255, (4, 3, 8, 8)).astype(np.uint8)
assert len(over_local_devices(clips).sharding.device_set) == 2
assert over_local_devices(clips[:3]) is not None
alone, spread = (predict_clips(LoadedNetwork(model, variables), clips, **kw) for kw in (
    {}, {"shard": over_local_devices}))
assert np.abs(alone.astype(int) - spread).max() <= 1 and alone.std() > 0
print("same")
"""


@pytest.mark.slow
def test_clips_are_predicted_on_several_devices():
    done = subprocess.run(
        [sys.executable, "-c", _PREDICT],
        cwd=ROOT,
        env=os.environ
        | {"XLA_FLAGS": "--xla_force_host_platform_device_count=2", "JAX_PLATFORMS": "cpu"},
        capture_output=True,
        text=True,
    )
    assert done.stdout == "same\n", done.stderr
