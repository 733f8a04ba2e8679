import cv2
import numpy as np
import pytest

from echodfkd_jax.errors import UserError
from echodfkd_jax.synthesis.diffusion import maps

LABELS = np.array([[0, 1, 2], [3, 4, 2]], np.uint8)


def test_every_label_has_its_grey_value():
    (grey,) = maps.picture(maps.of_labels(LABELS))
    np.testing.assert_allclose(grey, [[0, 0.5, 0], [1, 0.2, 0]])


def test_outside_of_the_sector_nothing_is_seen_and_of_two_the_first_counts():
    masks = np.ones((1, 1, 2, 2), bool)
    sector = np.array([[True, False]])
    shown = maps.StructureMap(masks, ("lv_myocardium", "la"), sector)
    np.testing.assert_array_equal(maps.picture(shown), [[[1, 0]]])


def test_a_structure_without_a_grey_value_is_named():
    shown = maps.StructureMap(np.ones((1, 1, 1, 1), bool), ("aorta",), np.ones((1, 1), bool))
    with pytest.raises(UserError, match="a map of 'aorta': expected some of lv"):
        maps.picture(shown)


def test_a_rim_is_ten_pixels_wide_and_stays_in_the_sector():
    cavity = np.zeros((1, 31, 31, 1), bool)
    cavity[0, 15, 15] = True
    sector = np.ones((31, 31), bool)
    sector[:, 20:] = False
    rim = maps.with_rim(maps.StructureMap(cavity, ("lv",), sector))
    assert rim.structures == ("lv", "lv_myocardium")
    # Five times two pixels each way, less the cavity, less what is not seen.
    wanted = np.zeros((31, 31), bool)
    wanted[5:26, 5:20] = True
    wanted[15, 15] = False
    np.testing.assert_array_equal(rim.masks[0, ..., 1], wanted)


def test_a_file_gives_the_map_that_was_drawn(tmp_path):
    drawn = np.tile(LABELS, (3, 2))
    cv2.imwrite(str(tmp_path / "map.png"), drawn)
    shown = maps.read_labels(tmp_path / "map.png", 6)
    np.testing.assert_array_equal(shown.sector, drawn > 0)
    np.testing.assert_array_equal(shown.masks[0, ..., 0], drawn == 2)


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (np.ones((5, 6), np.uint8), "map.png has 5 x 6 pixels: expected 6 x 6"),
        (np.full((6, 6), 9, np.uint8), "map.png: label 9 of a map: expected 0 outside, 1 tissue"),
        (np.ones((6, 6), np.uint8), "map.png: a map without the left ventricle: expected label 2"),
        (np.ones((6, 6, 3), np.uint8), "map.png cannot be read: expected a grey picture"),
    ],
)
def test_a_file_that_is_no_map_is_one_line(tmp_path, labels, message):
    cv2.imwrite(str(tmp_path / "map.png"), labels)
    with pytest.raises(UserError, match=message) as raised:
        maps.read_labels(tmp_path / "map.png", 6)
    assert "\n" not in str(raised.value)


def test_a_file_that_is_missing_is_one_line(tmp_path):
    with pytest.raises(UserError, match=r"nothing\.png cannot be read"):
        maps.read_labels(tmp_path / "nothing.png", 6)
