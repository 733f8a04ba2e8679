import jax
import jax.numpy as jnp
import numpy as np
import pytest

from echodfkd_jax.datasets import generators
from echodfkd_jax.errors import UserError
from echodfkd_jax.masks import LV_ALONE
from tests.jobs.stand_in_main import cut_window, make_clip

WANTED = {"num_frames": 5, "shown": (0, 2, 4), "outlined": (2,)}


class Plain:
    """A generator of whole clips alone."""

    version = "plain"

    def make(self, key, *, num_frames, train):
        return make_clip(key, num_frames=num_frames)


def discs():
    return generators.Phantom("discs", make_clip, cut_window, 0.5)


@pytest.mark.parametrize("generator", [Plain(), discs()])
def test_only_what_is_wanted_of_a_window_is_given(generator):
    made = generators.maker(generator, LV_ALONE, **WANTED)(jax.random.key(0), train=True)
    clip = make_clip(jax.random.key(0), num_frames=5)
    np.testing.assert_array_equal(made[0], clip.frames[jnp.array([0, 2, 4])])
    np.testing.assert_array_equal(made[1], clip.mask[2:3, ..., None])


def test_phases_need_a_generator_that_cuts_windows():
    with pytest.raises(UserError, match=r"phase_windows=0.4: generator 'plain' has no make_window"):
        generators.maker(Plain(), LV_ALONE, **WANTED, phases=0.4)
    assert generators.maker(discs(), LV_ALONE, **WANTED, phases=0.4)
