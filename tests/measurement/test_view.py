import functools
import math

import jax
import numpy as np
import pytest

from echodfkd_jax.measurement.view import describe_view
from echodfkd_jax.networks import predict_clip
from echodfkd_jax.networks.shipped import load_student
from echodfkd_jax.synthesis import TRAINING_POOR_WINDOWS, make_clip


def wedge(height, *, apex_width=8, base_width=24, side=100):
    """An upright mask that widens downwards, 255 inside, as a clip of four frames."""
    mask = np.zeros((side, side), np.uint8)
    for row in range(height):
        half = (apex_width + (base_width - apex_width) * row / (height - 1)) / 2
        mask[20 + row, round(side / 2 - half) : round(side / 2 + half)] = 255
    return np.repeat(mask[None], 4, axis=0)


def test_a_wedge_that_stands_on_its_base():
    view = describe_view(wedge(48))
    assert view.plausible == 1
    assert view.unsure_band == 0
    assert view.inside == 1
    assert view.tilt_degrees == pytest.approx(0, abs=1)
    assert view.base_to_apex == pytest.approx((24 + 20) / (8 + 12), abs=0.15)
    assert view.four_chamber


@pytest.mark.parametrize("turns", [1, 2, 3])
def test_turned_by_quarters_it_is_another_view(turns):
    assert not describe_view(np.rot90(wedge(48), turns, axes=(1, 2)).copy()).four_chamber


def test_mirrored_it_is_the_same_view():
    assert describe_view(wedge(48)[:, :, ::-1].copy()).four_chamber


def test_two_parts_are_not_plausible():
    mask = wedge(48)
    mask[:, 40:44] = 0
    assert describe_view(mask).plausible == 0


def test_half_of_the_frames_may_be_empty():
    mask = wedge(48)
    mask[:2] = 0
    assert describe_view(mask).four_chamber
    mask[2] = 0
    assert not describe_view(mask).four_chamber


def test_the_unsure_band_does_not_depend_on_the_size_of_the_pixels():
    mask = wedge(48)
    mask[:, 20:68, 30:36] = 100  # 6 x 48 pixels beside it.
    band = 6 * 48 / math.sqrt(np.count_nonzero(mask[0] == 255)) / 100
    assert describe_view(mask).unsure_band == pytest.approx(band)
    enlarged = mask.repeat(2, axis=1).repeat(2, axis=2)
    assert describe_view(enlarged).unsure_band == pytest.approx(band)


def test_a_mask_that_is_unsure_throughout():
    mask = np.where(wedge(48) > 0, 140, 0).astype(np.uint8)
    assert describe_view(mask).inside == pytest.approx(140 / 255)
    assert not describe_view(mask).four_chamber


@pytest.mark.parametrize("frames", [0, 3])
def test_nothing_is_no_view(frames):
    view = describe_view(np.zeros((frames, 16, 16), np.uint8))
    assert view.plausible == 0 and view.unsure_band == math.inf
    assert not view.four_chamber


@pytest.mark.slow
def test_the_limits_fit_the_shipped_student():
    # Where this fails after a new training, `python -m experiments.view` says what the limits are.
    student = load_student()
    make = jax.jit(functools.partial(make_clip, num_frames=32, poor_windows=TRAINING_POOR_WINDOWS))
    clips = [np.asarray(make(key).frames) for key in jax.random.split(jax.random.key(5), 20)]
    views = [describe_view(predict_clip(student, clip)[..., 0]) for clip in clips]
    assert sum(view.four_chamber for view in views) >= 18
    noise = np.random.default_rng(0).integers(0, 256, (4, 32, 112, 112), dtype=np.uint8)
    for clip in noise:
        assert not describe_view(predict_clip(student, clip)[..., 0]).four_chamber
