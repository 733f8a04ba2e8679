"""Measures of generated clips, whose masks are exact: plausible, and repeatable."""

import functools

import jax
import numpy as np
import pytest
import scipy.ndimage

from echodfkd_jax.measurement.beats import find_beats
from echodfkd_jax.measurement.measures import measure_clip
from echodfkd_jax.synthesis import STRUCTURES, make_clip
from echodfkd_jax.types import NamedMasks

pytestmark = pytest.mark.slow

NUM_CLIPS, NUM_FRAMES = 20, 64
# Of exact masks: no heart is outside, however ill.
PLAUSIBLE = {
    "lv_ef_disks": (5, 90),
    "lv_ef_area_length": (5, 90),
    "lv_length_ed": (20, 95),
    "lv_strain": (-60, 5),
    "mitral_excursion": (-6, 25),
    "lv_wall_septal": (2, 20),
    "lv_wall_lateral": (2, 20),
    "la_emptying": (-40, 70),
    "rv_area_change": (-40, 80),
}
# Standard deviation of the difference from the exact masks' when outlines are wrong by a pixel: a
# quarter to a half of that over hearts.
REPEATABLE = {"lv_ef_disks": 4.5, "lv_strain": 3.5, "mitral_excursion": 1.2, "la_emptying": 7.0}


def means(masks, fps):
    named = NamedMasks(masks, STRUCTURES)
    area = np.count_nonzero(named.of("lv") > 127, axis=(1, 2))
    found = measure_clip(named, find_beats(area, fps).beats)
    return {name: measure.mean for name, measure in found.items()}


def jittered(inside, generator):
    """Soft masks whose outline is off by a pixel (standard deviation), smoothly over the picture
    and time."""
    outer, inner = (
        np.stack([scipy.ndimage.distance_transform_edt(frame) for frame in frames])
        for frames in (~inside, inside)
    )
    noise = scipy.ndimage.gaussian_filter(generator.standard_normal(inside.shape), (2, 4, 4))
    distance = inner - outer + noise / noise.std()
    return np.rint(255 / (1 + np.exp(-distance / 0.7))).astype(np.uint8)


@pytest.fixture(scope="module")
def clips():
    make = jax.jit(functools.partial(make_clip, num_frames=NUM_FRAMES))
    made = [make(jax.random.key(500 + index)) for index in range(NUM_CLIPS)]
    return [(np.asarray(clip.structures), float(clip.fps)) for clip in made]


@pytest.fixture(scope="module")
def exact(clips):
    return [means(255 * inside.astype(np.uint8), fps) for inside, fps in clips]


def column(rows, name):
    return np.array([row[name] for row in rows])


def test_measures_of_exact_masks_are_plausible(exact):
    for name, (low, high) in PLAUSIBLE.items():
        values = column(exact, name)
        known = values[~np.isnan(values)]
        assert len(known) >= NUM_CLIPS / 4, name
        assert low <= known.min() and known.max() <= high, (name, known.min(), known.max())


def test_twice_the_resolution_has_the_same_ejection_fraction_and_strain(clips, exact):
    for (inside, fps), wanted in list(zip(clips, exact))[:4]:
        double = np.repeat(np.repeat(inside, 2, axis=1), 2, axis=2)
        finer = means(255 * double.astype(np.uint8), fps)
        for name in ("lv_ef_disks", "lv_strain"):
            assert finer[name] == pytest.approx(wanted[name], abs=1.5, nan_ok=True), name


def test_outlines_that_are_a_pixel_off_give_nearly_the_same_measures(clips, exact):
    generator = np.random.default_rng(0)
    noisy = [
        means(np.stack([jittered(one, generator) for one in np.moveaxis(inside, -1, 0)], -1), fps)
        for inside, fps in clips
    ]
    for name, most in REPEATABLE.items():
        difference = column(noisy, name) - column(exact, name)
        difference = difference[~np.isnan(difference)]
        assert len(difference) >= NUM_CLIPS / 4, name
        assert difference.std() <= most, (name, difference)
