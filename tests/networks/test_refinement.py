import numpy as np
import pytest
from scipy import ndimage

from echodfkd_jax.networks.refinement import keep_largest, refine, smooth_over_time


def disk(x, y, radius, size=40):
    rows, columns = np.mgrid[:size, :size]
    return (rows - y) ** 2 + (columns - x) ** 2 <= radius**2


def test_of_two_parts_the_larger_stays():
    ventricle, atrium = disk(12, 12, 8), disk(30, 30, 4)
    masks = np.where(ventricle, 220, np.where(atrium, 255, 30)).astype(np.uint8)[None, ..., None]
    kept = keep_largest(masks)[0, ..., 0]
    np.testing.assert_array_equal(kept > 127, ventricle)
    np.testing.assert_array_equal(kept[ventricle], 220)
    assert (kept[~ventricle & ~atrium] == 30).all()


def test_what_is_one_part_or_none_stays_as_it_is():
    masks = np.stack([200 * disk(20, 20, 9), 0 * disk(20, 20, 9)]).astype(np.uint8)[..., None]
    np.testing.assert_array_equal(keep_largest(masks), masks)


def test_a_frame_that_jumps_is_brought_back():
    sizes = np.full(21, 9.0)
    sizes[10] = 13.0
    masks = np.stack([250 * disk(20, 20, size) + 2 for size in sizes]).astype(np.uint8)[..., None]
    areas = (smooth_over_time(masks, 50.0) > 127).sum((1, 2, 3))
    steady = (masks[0] > 127).sum()
    assert (masks[10] > 127).sum() > 1.8 * steady
    assert areas[10] < 1.1 * steady


def test_the_beat_survives():
    frames = np.arange(100)
    radius = 10 + 3 * np.cos(2 * np.pi * frames / 50)
    masks = np.stack(
        [255 / (1 + np.exp(2 * (np.hypot(*(np.mgrid[:40, :40] - 20)) - size))) for size in radius]
    ).astype(np.uint8)[..., None]
    before, after = ((each > 127).sum((1, 2, 3)) for each in (masks, refine(masks, 50.0)))
    assert abs(after.max() / before.max() - 1) < 0.02
    assert abs(after.min() / before.min() - 1) < 0.05


@pytest.mark.parametrize("fps", [float("nan"), 0.0, 5.0, 1000.0])
def test_any_rate_gives_masks(fps):
    masks = np.random.default_rng(0).integers(0, 256, (7, 16, 16, 2)).astype(np.uint8)
    found = refine(masks, fps)
    assert found.shape == masks.shape and found.dtype == np.uint8
    for mask in np.moveaxis(found, -1, 1).reshape(-1, 16, 16):
        assert ndimage.label(mask > 127)[1] <= 1


def test_slow_clips_are_hardly_smoothed():
    masks = np.random.default_rng(0).integers(0, 256, (9, 16, 16, 1)).astype(np.uint8)
    change = np.abs(smooth_over_time(masks, 5.0).astype(int) - masks)
    assert change.max() <= 1
