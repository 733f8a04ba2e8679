import functools

import jax
import numpy as np
import optax
import pytest

from echodfkd_jax.networks.blocks import FORMS
from echodfkd_jax.networks.registry import build_model
from echodfkd_jax.training.state import create_state
from echodfkd_jax.training.step import train_step

STEPS = 60


def losses(**fields):
    """Of steps on noise with a brighter square that moves and is the target."""
    fields = {
        "name": "convlstm",
        "blocks": 2,
        "layers": 1,
        "filters": 4,
        "normalise": True,
        **fields,
    }
    model, optimizer = build_model(**fields), optax.adam(3e-3)
    state = create_state(model, optimizer, 0, frame_shape=(16, 16))
    step = jax.jit(
        functools.partial(
            train_step, model=model, optimizer=optimizer, expand=lambda b: b, axis_name=None
        )
    )
    rng = np.random.default_rng(0)
    found = []
    for _ in range(STEPS):
        inside = np.zeros((4, 4, 16, 16, 1), bool)
        for clip, (y, x) in enumerate(rng.integers(0, 9, (4, 2))):
            inside[clip, :, y : y + 8, x : x + 8] = True
        video = (rng.integers(0, 150, inside.shape) + 80 * inside).astype(np.uint8)
        target = np.where(inside, 255, 0).astype(np.uint8)
        state, metrics = step(state, {"video": video, "target": target})
        found.append(float(metrics["loss_sum"] / metrics["count"]))
    return np.array(found)


@pytest.mark.slow
@pytest.mark.parametrize("form", ["cpu", "tpu"])
def test_loss_curve_of_bfloat16_is_that_of_float32(form):
    exact = losses(dtype="float32")
    low = losses(dtype="bfloat16", form=FORMS[form])
    assert exact[-10:].mean() < 0.5 * exact[:5].mean()  # There is something to be learned.
    np.testing.assert_allclose(low, exact, rtol=0.01)
    np.testing.assert_allclose(low[-10:].mean(), exact[-10:].mean(), rtol=0.005)


def test_choice_is_left_to_the_device():
    assert build_model("convlstm", blocks=1, layers=1, dtype="auto").dtype == "float32"  # A CPU.
    assert FORMS["tpu"].dtype == FORMS["gpu"].dtype == "bfloat16"
