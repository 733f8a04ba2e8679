import jax
import jax.numpy as jnp
import numpy as np
import pytest

from echodfkd_jax.synthesis.phantom.anatomy import sample_anatomy
from echodfkd_jax.synthesis.phantom.draws import Draws
from echodfkd_jax.synthesis.phantom.valves import sample_valves
from echodfkd_jax.synthesis.phantom.window import (
    Grade,
    by_darkness,
    by_window,
    sample_darkness,
    sample_window,
)


@pytest.mark.parametrize("poor", [0.0, 0.2, 0.5])
def test_fair_windows_are_as_many_as_poor_ones(poor):
    keys = jax.random.split(jax.random.key(3), 4000)
    drawn = jax.vmap(lambda key: sample_window(Draws(key), poor))(keys)
    shares = np.bincount(drawn, minlength=3) / len(keys)
    np.testing.assert_allclose(shares, [1 - 2 * poor, poor, poor], atol=0.03)


def test_each_grade_has_its_number():
    of = jax.jit(lambda window: by_window(window, clear=1.0, fair=jnp.asarray(2.0), poor=3.0))
    assert [float(of(grade)) for grade in Grade] == [1.0, 2.0, 3.0]


def test_pictures_are_bright_dark_and_anything_between():
    keys = jax.random.split(jax.random.key(4), 3000)
    drawn = np.asarray(jax.vmap(lambda key: sample_darkness(Draws(key)))(keys))
    for end in (0.0, 1.0):
        assert 0.13 < np.mean(drawn == end) < 0.2
    between = drawn[(drawn > 0) & (drawn < 1)]
    assert between.mean() == pytest.approx(0.5, abs=0.02)
    assert float(by_darkness(jnp.asarray(0.25), -2.0, -10.0)) == -4.0


def test_the_worse_the_window_the_more_trabeculae_look_solid():
    layers = [sample_anatomy(Draws(jax.random.key(0)), grade).trabecular for grade in Grade]
    assert (layers[0] < layers[1]).all() and (layers[1] < layers[2]).all()


def test_closed_leaflets_are_seen_unless_the_window_is_poor():
    keys = jax.random.split(jax.random.key(1), 500)

    def dimmest(grade):
        draw = jax.vmap(lambda key: sample_valves(Draws(key), grade, jnp.zeros(())).level[:2])
        return float(draw(keys).min())

    assert dimmest(Grade.CLEAR) == dimmest(Grade.FAIR) > -35.0
    assert dimmest(Grade.POOR) < -40.0
