import math

import numpy as np
import pytest

from echodfkd_jax.measurement.outline import trace
from tests.measurement.drawn_hearts import Bullet, draw, points, soft

FOOT = (85.5, 56.5)


@pytest.mark.parametrize("lean", [-40, -15, 0, 25, 40])
def test_hinges_apex_and_length_of_a_leaning_half_ellipse(lean):
    found = trace(draw(Bullet(), foot=FOOT, lean_degrees=lean))
    angle = math.radians(lean)
    right = np.array([math.sin(angle), math.cos(angle)])
    up = np.array([-math.cos(angle), math.sin(angle)])
    np.testing.assert_allclose(found.hinges[0], FOOT - 15 * right, atol=0.7)
    np.testing.assert_allclose(found.hinges[1], FOOT + 15 * right, atol=0.7)
    np.testing.assert_allclose(found.apex, FOOT + 50 * up, atol=1.0)
    assert found.length_px == pytest.approx(50, rel=0.015)
    assert found.wall_length_px == pytest.approx(Bullet().wall_length, rel=0.015)


def test_a_mirrored_mask_has_the_mirrored_outline():
    mask = draw(Bullet(), lean_degrees=20)
    found, mirrored = trace(mask), trace(np.ascontiguousarray(mask[:, ::-1]))
    back = mirrored.wall[::-1] * [1, -1] + [0, 111]
    np.testing.assert_allclose(found.wall, back, atol=0.05)


@pytest.mark.parametrize("slope", [-0.4, 0.4])
def test_the_base_may_be_slanted(slope):
    along, across = points()
    mask = soft(
        Bullet(base=-30, straight=10, cap=40).inside(along, across) & (along > slope * across)
    )
    hinges = trace(mask).hinges
    np.testing.assert_allclose(
        hinges, [[85.5 + 15 * slope, 41.5], [85.5 - 15 * slope, 71.5]], atol=0.8
    )


def test_a_wide_ventricle_stands_on_its_base():
    found = trace(draw(Bullet(half_width=30, cap=40)))
    assert found.length_px == pytest.approx(40, rel=0.03)
    np.testing.assert_allclose(found.upwards, [-1, 0], atol=0.12)


def test_whole_pixels_give_nearly_the_outline_of_soft_ones():
    mask = draw(Bullet(), lean_degrees=13)
    exact = trace(np.where(mask > 127, 255, 0).astype(np.uint8))
    np.testing.assert_allclose(exact.hinges, trace(mask).hinges, atol=0.4)
    assert exact.wall_length_px == pytest.approx(trace(mask).wall_length_px, rel=0.01)


def test_another_part_changes_nothing():
    mask = draw(Bullet())
    strayed = mask.copy()
    strayed[100:104, 5:9] = 255
    np.testing.assert_array_equal(trace(strayed).wall, trace(mask).wall)


@pytest.mark.parametrize(
    "mask",
    [
        np.zeros((112, 112), np.uint8),
        np.full((112, 112), 127, np.uint8),
        np.full((4, 4), 255, np.uint8),
        draw(Bullet(), foot=(85.0, 1.0)),  # The picture's edge cuts it.
        np.pad(np.full((80, 1), 255, np.uint8), ((16, 16), (55, 56))),
        np.full((112, 112), 255, np.uint8),
    ],
    ids=["empty", "unsure", "small", "cut", "thin", "full"],
)
def test_what_is_no_whole_ventricle_has_no_outline(mask):
    assert trace(mask) is None


def test_any_mask_has_a_finite_outline_or_none():
    generator = np.random.default_rng(0)
    for scale in (1, 2, 4, 8, 16):
        for _ in range(6):
            coarse = generator.integers(0, 256, (112 // scale, 112 // scale), np.uint8)
            found = trace(np.kron(coarse, np.ones((scale, scale), np.uint8)))
            assert found is None or (np.isfinite(found.wall).all() and found.length_px > 0)
