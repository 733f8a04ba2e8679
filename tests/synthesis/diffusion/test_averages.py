import jax.numpy as jnp
import numpy as np

from echodfkd_jax.synthesis.diffusion import averages
from tests.synthesis.diffusion.golden import facts

EMA = facts("schedulers")["ema"]


def test_published_decay():
    found = averages.warming_decay(jnp.asarray(EMA["update_number"]))
    np.testing.assert_allclose(found, EMA["decay"], atol=1e-6)


def test_the_first_update_copies_the_weights_and_later_ones_keep_some():
    old, new = {"a": jnp.asarray([4.0])}, {"a": jnp.asarray([8.0])}
    copied = averages.average(old, new, averages.warming_decay(1))
    assert copied["a"] == 8
    kept = averages.average(old, new, averages.warming_decay(3))
    np.testing.assert_allclose(kept["a"], 0.25 * 4 + 0.75 * 8)


def test_delayed_decay_copies_then_averages_every_tenth_step():
    found = averages.delayed_decay(jnp.asarray([1, 10, 2000, 2001, 2010]))
    np.testing.assert_allclose(found, [1, 0, 0, 1, 0.995])
