import jax
import jax.numpy as jnp
import numpy as np
import pytest

from echodfkd_jax.synthesis.phantom import chambers, tissue
from echodfkd_jax.synthesis.phantom.anatomy import cavity_profile, places, sample_anatomy
from echodfkd_jax.synthesis.phantom.chambers import STRUCTURES
from echodfkd_jax.synthesis.phantom.decibels import added, amplitude
from echodfkd_jax.synthesis.phantom.draws import Draws
from echodfkd_jax.synthesis.phantom.window import Grade


@pytest.fixture(scope="module")
def heart():
    heart = sample_anatomy(Draws(jax.random.key(3)), Grade.CLEAR)
    return heart._replace(base_tilt=jnp.zeros(()), ripple=jnp.zeros(2))


@pytest.fixture(scope="module")
def place(heart):
    return jax.tree.map(np.asarray, jax.jit(places)(heart))


@pytest.fixture(scope="module")
def others(heart):
    return chambers.sample_chambers(Draws(jax.random.key(4)), heart)


def test_decibels_are_of_the_amplitude():
    assert float(amplitude(jnp.asarray(20.0))) == pytest.approx(10.0)
    # Two equal amplitudes are twice as much, 6 dB more; a far smaller one adds nothing.
    assert float(added(jnp.asarray(-10.0), jnp.asarray(-10.0))) == pytest.approx(-3.98, abs=0.01)
    assert float(added(jnp.asarray(-10.0), jnp.asarray(-90.0))) == pytest.approx(-10.0, abs=0.01)


def test_distance_from_the_outline_is_negative_inside_and_exact_beside_the_widest_point(
    heart, place
):
    widest = float(heart.widest[1])
    half = float(cavity_profile(heart, jnp.asarray(widest), jnp.asarray(1.0)))
    half *= float(heart.half_width[1])
    row = np.abs(place.v[:, 0] - widest * float(heart.length)).argmin()
    line, u = place.outside[row], place.u[row]
    inside = (u > 0.7 * half) & (u < half - 0.5)
    outside = (u > half + 0.5) & (u < half + 10)
    np.testing.assert_allclose(line[inside], u[inside] - half, atol=0.15)
    np.testing.assert_allclose(line[outside], u[outside] - half, atol=0.15)


def test_the_wall_lies_around_the_cavity_and_the_other_chambers_where_they_belong(
    heart, place, others
):
    found = np.asarray(jax.jit(chambers.labels)(place, heart, others))
    for name in ("lv_myocardium", "la", "rv", "ra"):
        at = found == STRUCTURES.index(name)
        assert at.sum() > 100, name
        if name in ("la", "ra"):
            assert (place.below[at] > 0).all()
        else:
            assert (place.below[at] < 0).all()
    assert (place.u[found == STRUCTURES.index("rv")] < 0).all()
    assert (
        place.u[found == STRUCTURES.index("la")].mean()
        > place.u[found == STRUCTURES.index("ra")].mean()
    )
    assert (place.outside[found == STRUCTURES.index("lv_myocardium")] > 0).all()


def test_the_wall_begins_beyond_a_gap_that_is_as_dark_as_blood(heart, place, others):
    wide = heart._replace(gap=jnp.full(2, 3.0), trabecular=jnp.full(2, 0.3))
    levels = tissue.sample_tissue(Draws(jax.random.key(5)), Grade.CLEAR, jnp.zeros(()))
    levels = levels._replace(blood=jnp.asarray(-60.0), septal=jnp.asarray(0.0))
    at = jax.jit(places)(wide)
    level = np.asarray(jax.jit(tissue.echo_level)(jax.random.key(6), wide, levels, others, at))
    septum = np.asarray((at.u < 0) & (at.s > 0.5) & (at.s < 0.8))
    outside = np.asarray(at.outside)
    gap = level[septum & (outside > 0.6) & (outside < 2.2)]
    core = level[septum & (outside > 4.5) & (outside < 6.0)]
    assert np.median(core) - np.median(gap) > 20


def test_patches_are_of_few_kinds_with_borders_between_them():
    field = np.asarray(Draws(jax.random.key(0)).clusters(200, 200, 6, 3, 5.0))
    _values, counts = np.unique(np.round(field, 3), return_counts=True)
    assert 1 <= np.sum(counts > 0.05 * field.size) <= 3
    assert counts[counts > 0.05 * field.size].sum() > 0.6 * field.size
