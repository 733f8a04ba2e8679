import numpy as np
import pytest

from echodfkd_jax.evaluation import mirror


def outline(center, *, softness):
    """An upright ellipse with an edge of so many pixels, in 4 frames of 112 x 112."""
    y, x = np.mgrid[:112, :112]
    radius = np.sqrt(((x - center) / 18) ** 2 + ((y - 56) / 30) ** 2)
    soft = 1 / (1 + np.exp((radius - 1) * 18 / softness))
    return np.repeat(np.rint(255 * soft).astype(np.uint8)[None], 4, axis=0)


def test_the_surer_way_round_is_taken():
    found = mirror.compare(outline(45, softness=4), outline(68, softness=1))
    assert found.mirrored and not found.doubted
    assert found.band_mirrored < found.band
    found = mirror.compare(outline(68, softness=1), outline(45, softness=4))
    assert not found.mirrored and not found.doubted


def test_equally_sure_of_two_outlines_is_a_doubt():
    found = mirror.compare(outline(68, softness=2), outline(68, softness=2))
    assert not found.mirrored and found.doubted


def test_the_same_outline_both_ways_is_none():
    found = mirror.compare(outline(68, softness=3), outline(111 - 68, softness=1))
    assert not found.mirrored and not found.doubted


def test_nothing_outlined_is_no_mirror():
    empty = np.zeros((4, 112, 112), np.uint8)
    assert mirror.compare(empty, empty)[:2] == (False, False)


@pytest.mark.parametrize(("frames", "first", "last"), [(10, 0, 10), (24, 0, 24), (100, 38, 62)])
def test_the_middle_is_looked_at(frames, first, last):
    assert mirror.middle_frames(frames) == slice(first, last)
