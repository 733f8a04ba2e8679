import math

import jax.numpy as jnp
import pytest

from echodfkd_jax.errors import UserError
from echodfkd_jax.training.monitor import Monitor


def _monitor(lines, **changes):
    fields = {
        "write": lambda step, scalars: lines.append((step, scalars)),
        "learning_rate": lambda step: 0.1 * step,
        "log_every_steps": 2,
        "batch_size": 4,
        "first_step": 0,
        "num_steps": 10,
        "last_saved": lambda: "the last good checkpoint is RUN/checkpoints/20",
    }
    return Monitor(**(fields | changes))


def _metrics(loss, grad_norm=1.0, finite=1.0):
    values = {"loss_sum": 4 * loss, "count": 4, "grad_norm": grad_norm, "finite": finite}
    return {name: jnp.float32(value) for name, value in values.items()}


def test_lines_are_means_since_the_line_before():
    lines = []
    monitor = _monitor(lines)
    for step, loss in enumerate((1.0, 3.0, 5.0, 9.0, 2.0), start=1):
        monitor.push(step, _metrics(loss, grad_norm=2 * loss))
    assert monitor.flush() == pytest.approx(4.0)
    assert [(step, line["train/loss"]) for step, line in lines] == [(2, 2.0), (4, 7.0), (5, 2.0)]
    assert [line["train/grad_norm"] for _, line in lines] == [4.0, 14.0, 4.0]
    assert lines[0][1]["train/learning_rate"] == pytest.approx(0.1)
    assert lines[0][1]["train/clips_per_s"] > 0


def test_an_epoch_starts_afresh():
    monitor = _monitor([])
    monitor.push(1, _metrics(8.0))
    monitor.flush()
    monitor.push(2, _metrics(2.0))
    assert monitor.flush() == pytest.approx(2.0)
    assert math.isnan(monitor.flush())


@pytest.mark.parametrize("bad", [_metrics(1.0, finite=0.0), _metrics(float("nan"))])
def test_a_loss_that_is_not_finite_stops_with_steps_and_a_way_out(bad):
    lines = []
    monitor = _monitor(lines)
    monitor.push(21, _metrics(1.0))
    monitor.push(22, bad)
    with pytest.raises(
        UserError,
        match=r"steps 21 to 22; the last good checkpoint is RUN/checkpoints/20; .*"
        r"config\.train\.learning_rate \(now 2\.1\) or with config\.train\.clip_norm=1\.0",
    ):
        monitor.flush()
    assert lines == []
