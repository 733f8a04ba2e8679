import numpy as np
import pytest

from echodfkd_jax.clips import traces
from echodfkd_jax.prediction import outlines
from tests.clips import echonet_folder

_, MASKS = echonet_folder.beat(20)
SQUARE = np.array([[20.0, 20], [40, 20], [40, 40], [20, 40]])


def dice(first, second):
    return 2 * np.count_nonzero(first & second) / (first.sum() + second.sum())


@pytest.mark.parametrize(("num_points", "least"), [(12, 0.98), (16, 0.98), (48, 0.99)])
def test_a_mask_comes_back_from_its_points(num_points, least):
    for mask in MASKS:
        points = outlines.of_mask(mask, num_points)
        assert points.shape == (num_points, 2)
        assert dice(outlines.fill(points, 112), mask > 127) > least


def test_the_area_is_not_biased():
    ratios = [
        outlines.fill(outlines.of_mask(mask), 112).sum() / np.count_nonzero(mask) for mask in MASKS
    ]
    assert np.mean(ratios) == pytest.approx(1, abs=0.01)


def test_an_outline_lies_where_probability_is_one_half():
    mask = np.zeros((112, 112), np.uint8)
    mask[30:50, 40:60] = 255
    mask[30:50, 60] = 51  # A fifth: the border lies between the columns 59 and 60.
    right = outlines.of_mask(mask)[:, 0].max()
    assert right == pytest.approx(59 + (255 - 127.5) / (255 - 51))


def test_the_largest_part_is_outlined_and_an_empty_mask_has_no_outline():
    mask = np.zeros((112, 112), np.uint8)
    assert outlines.of_mask(mask).shape == (0, 2)
    mask[:10, :10] = 255
    mask[60:90, 60:90] = 255
    assert outlines.of_mask(mask).min() > 50
    mask[:] = 255  # Up to the border.
    assert outlines.fill(outlines.of_mask(mask), 112).mean() > 0.99


def test_the_curve_passes_through_its_points():
    curve = outlines.curve(SQUARE)
    assert curve.shape == (32, 2)
    np.testing.assert_allclose(curve[::8], SQUARE)
    # Bezier at one half, with handles of a sixth of the way between the neighbours.
    np.testing.assert_allclose(curve[4], [30, 17.5])


def test_what_lies_outside_of_the_frame_is_cut_off():
    assert outlines.fill(SQUARE * 4 - 100, 112)[:, 0].any()
    assert not outlines.fill(SQUARE + 200, 112).any()


def test_the_projects_own_reader_reads_the_chords_of_an_outline():
    for mask in MASKS:
        rows = traces.from_outline(outlines.curve(outlines.of_mask(mask, 16)))
        assert rows.shape == (traces.ROWS_PER_TRACE, 4)
        read = traces.mask(rows, frame_shape=(112, 112), size_px=112)
        assert dice(read, mask > 127) > 0.97
