import numpy as np
import pytest

from echodfkd_jax.measurement import mirror


def outline(center, *, softness):
    """An upright ellipse with an edge of so many pixels, in 4 frames of 112 x 112."""
    y, x = np.mgrid[:112, :112]
    radius = np.sqrt(((x - center) / 18) ** 2 + ((y - 56) / 30) ** 2)
    soft = 1 / (1 + np.exp((radius - 1) * 18 / softness))
    return np.repeat(np.rint(255 * soft).astype(np.uint8)[None], 4, axis=0)


FRAMES = np.full((4, 112, 112), 60, np.uint8)


def test_the_surer_way_round_is_taken():
    found = mirror.compare(FRAMES, outline(48, softness=4), outline(75, softness=2))
    assert found.mirrored and not found.doubted
    found = mirror.compare(FRAMES, outline(75, softness=2), outline(48, softness=4))
    assert not found.mirrored and not found.doubted


def test_the_place_counts_where_both_are_sure():
    left, right = outline(45, softness=2), outline(68, softness=2)
    assert mirror.compare(FRAMES, left, outline(56, softness=2)).mirrored
    assert not mirror.compare(FRAMES, right, outline(56, softness=2)).mirrored


def test_the_place_is_that_within_what_is_shown():
    frames = FRAMES.copy()
    frames[:, :, 80:] = 0  # The picture's middle is at 40.
    found = mirror.compare(frames, outline(52, softness=2), outline(60, softness=2))
    assert not found.mirrored and found.score > 0


def test_equally_sure_of_two_outlines_is_a_doubt():
    found = mirror.compare(FRAMES, outline(68, softness=2), outline(68, softness=2))
    assert not found.mirrored and found.doubted


def test_the_same_outline_both_ways_is_none():
    found = mirror.compare(FRAMES, outline(58, softness=2), outline(111 - 58, softness=2))
    assert not found.mirrored and not found.doubted


def test_nothing_outlined_is_no_mirror():
    empty = np.zeros((4, 112, 112), np.uint8)
    assert mirror.compare(FRAMES, empty, empty)[:2] == (False, False)


@pytest.mark.parametrize(("frames", "first", "last"), [(10, 0, 10), (24, 0, 24), (100, 38, 62)])
def test_the_middle_is_looked_at(frames, first, last):
    assert mirror.middle_frames(frames) == slice(first, last)
