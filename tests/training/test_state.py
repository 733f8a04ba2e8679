import flax.linen as nn
import jax
import numpy as np
import pytest

from configs import synthetic
from echodfkd_jax.settings import TrainSettings
from echodfkd_jax.training import state as state_lib
from tests.synthesis.diffusion.golden import facts


class Tiny(nn.Module):
    width: int = 2

    @nn.compact
    def __call__(self, video, *, train=False):
        hidden = nn.BatchNorm(use_running_average=not train)(nn.Dense(self.width)(video))
        return nn.Dense(1)(hidden)


def _settings(**changes):
    plain = {"schedule": "constant", "warmup_steps": 0, "clip_norm": 0.0, "learning_rate": 1e-3}
    return TrainSettings(**(dict(synthetic.get_config().train) | plain | changes))


def _state(settings, width=2, seed=0):
    schedule = state_lib.make_schedule(settings, 100)
    optimizer = state_lib.make_optimizer(settings, schedule)
    return state_lib.create_state(Tiny(width), optimizer, seed, frame_shape=(4, 4))


def test_constant_schedule():
    schedule = state_lib.make_schedule(_settings(learning_rate=0.5), 10)
    np.testing.assert_allclose([schedule(0), schedule(9)], [0.5, 0.5])


def test_warmup_rises_linearly():
    schedule = state_lib.make_schedule(_settings(learning_rate=0.5, warmup_steps=5), 10)
    np.testing.assert_allclose([schedule(i) for i in (0, 1, 4, 5)], [0.0, 0.1, 0.4, 0.5])


def test_cosine_ends_at_zero():
    settings = _settings(learning_rate=1.0, warmup_steps=2, schedule="cosine")
    schedule = state_lib.make_schedule(settings, 12)
    np.testing.assert_allclose(
        [schedule(i) for i in (1, 2, 7, 12)], [0.5, 1.0, 0.5, 0.0], atol=1e-6
    )


def test_cosine_after_a_warm_up_is_that_of_the_published_generators():
    published = facts("schedulers")["lr"]
    settings = _settings(
        learning_rate=1.0, schedule="cosine", warmup_steps=published["cosine_warmup"]
    )
    schedule = state_lib.make_schedule(settings, published["cosine_total"])
    found = [schedule(step) for step in published["cosine_step"]]
    np.testing.assert_allclose(found, published["cosine_factor"], atol=1e-6)


def test_number_of_weights():
    # 1*2 + 2, normalisation 2 + 2, 2*1 + 1
    assert state_lib.num_weights(_state(_settings())) == 11


@pytest.mark.parametrize("clip_norm", [0.0, 1.0])
def test_tree_and_back(clip_norm):
    settings = _settings(clip_norm=clip_norm)
    before = _state(settings, seed=3)
    after = state_lib.from_tree(_state(settings, seed=4), state_lib.to_tree(before))
    assert jax.tree.structure(after) == jax.tree.structure(before)
    jax.tree.map(np.testing.assert_array_equal, after, before)


def test_another_model_is_refused():
    settings = _settings()
    tree = state_lib.to_tree(_state(settings, width=3))
    with pytest.raises(ValueError, match=r"in the checkpoint, .* in the model"):
        state_lib.from_tree(_state(settings, width=2), tree)


def test_clipping_scales_large_gradients():
    # Adam's first step does not depend on the gradient's size, its second moment does.
    schedule = state_lib.make_schedule(_settings(), 10)
    optimizer = state_lib.make_optimizer(_settings(clip_norm=1.0), schedule)
    params = {"w": np.zeros(2, np.float32)}
    gradient = {"w": np.array([30.0, 40.0], np.float32)}
    _, opt_state = optimizer.update(gradient, optimizer.init(params), params)
    moment = opt_state[1][0].nu["w"]
    np.testing.assert_allclose(moment, np.array([0.6, 0.8]) ** 2 * 1e-3, rtol=1e-5)
