import math

import numpy as np
import pytest

from echodfkd_jax.clips import inputs
from echodfkd_jax.clips.inputs import Box, SourceClip
from echodfkd_jax.errors import UserError
from tests.clips.dicom_file import write_dicom
from tests.clips.png_folder import save_pngs

FRAMES = np.random.default_rng(0).integers(0, 256, (5, 16, 24), dtype=np.uint8)


def source(frames=FRAMES, spacing=(math.nan, math.nan)):
    return SourceClip(frames, 50.0, spacing, ())


def test_pictures_are_ordered_by_number(tmp_path):
    folder = save_pngs(tmp_path / "stills", FRAMES, names=["1", "2", "10", "11", "100"])
    clip = inputs.read_clip(folder)
    np.testing.assert_array_equal(clip.frames, FRAMES)
    assert math.isnan(clip.fps)


def test_pictures_of_two_sizes_are_refused(tmp_path):
    folder = save_pngs(tmp_path / "stills", [FRAMES[0], FRAMES[1, :8]])
    with pytest.raises(UserError, match=r"1\.png: is of another size"):
        inputs.read_clip(folder)


def test_a_broken_picture_is_refused(tmp_path):
    folder = save_pngs(tmp_path / "stills", FRAMES)
    (folder / "3.png").write_text("no picture")
    with pytest.raises(UserError, match=r"3\.png: not readable"):
        inputs.read_clip(folder)


def test_a_thumbnail_is_no_frame(tmp_path):
    folder = save_pngs(tmp_path / "stills", FRAMES)
    save_pngs(folder, [FRAMES[0, :8]], names=["thumbnail"])
    np.testing.assert_array_equal(inputs.read_clip(folder).frames, FRAMES)


def test_a_picture_stands_for_its_sequence(tmp_path):
    folder = save_pngs(tmp_path / "stills", FRAMES, names=[f"roi2_{i}" for i in range(5)])
    save_pngs(folder, FRAMES[::-1], names=[f"roi3_{i}" for i in range(5)])
    clip = inputs.read_clip(folder / "roi3_2.png")
    np.testing.assert_array_equal(clip.frames, FRAMES[::-1])


def test_a_single_picture_is_refused(tmp_path):
    folder = save_pngs(tmp_path / "stills", FRAMES[:1], names=["screenshot"])
    with pytest.raises(UserError, match="single picture"):
        inputs.read_clip(folder / "screenshot.png")


def test_a_text_file_is_refused(tmp_path):
    (tmp_path / "notes.txt").write_text("no clip")
    with pytest.raises(UserError, match=r"'\.txt' are not read; use \.avi"):
        inputs.read_clip(tmp_path / "notes.txt")


def test_the_square_around_the_middle():
    frames = np.zeros((1, 120, 160), np.uint8)
    frames[:, :, 20:140] = 200
    fitted = inputs.fit(source(frames, spacing=(0.56, 0.56)))
    assert fitted.box == Box(top=0, left=20, height=120, width=120)
    assert fitted.frames.shape == (1, 112, 112)
    assert (fitted.frames == 200).all()
    assert fitted.spacing_mm == pytest.approx((0.6, 0.6))


def test_the_full_frame_is_squeezed():
    fitted = inputs.fit(source(np.zeros((1, 224, 448), np.uint8), spacing=(0.5, 0.5)), "full")
    assert fitted.box == Box(0, 0, 224, 448)
    assert fitted.spacing_mm == pytest.approx((1.0, 2.0))


def test_squeezed_masks_are_measured_with_square_pixels():
    fitted = inputs.fit(source(np.zeros((1, 224, 448), np.uint8), spacing=(0.5, 0.5)), "full")
    square, side_mm = inputs.with_square_pixels(np.full((1, 112, 112), 255, np.uint8), fitted)
    assert square.shape == (1, 112, 224)
    assert side_mm == pytest.approx(1.0)


def test_square_pixels_stay_as_they_are():
    mask = np.zeros((1, 112, 112), np.uint8)
    square, side_mm = inputs.with_square_pixels(mask, inputs.fit(source()))
    assert square is mask
    assert math.isnan(side_mm)


def test_pixels_that_are_not_square_in_the_source():
    frames = np.zeros((1, 112, 112), np.uint8)
    fitted = inputs.fit(source(frames, spacing=(0.5, 1.0)))
    square, side_mm = inputs.with_square_pixels(frames, fitted)
    assert square.shape == (1, 112, 224)
    assert side_mm == pytest.approx(0.5)


def test_masks_go_back_to_where_they_were():
    mask = np.full((1, 112, 112), 255, np.uint8)
    restored = inputs.restore_masks(mask, Box(top=0, left=20, height=120, width=120), 120, 160)
    assert restored.shape == (1, 120, 160)
    assert (restored[:, :, 20:140] == 255).all()
    assert restored.sum() == 255 * 120 * 120


def test_frames_that_are_lines_are_refused(tmp_path):
    np.savez(tmp_path / "a.npz", np.zeros((2, 8, 33), np.uint8))
    with pytest.raises(UserError, match=r"a\.npz: frames are 33x8; expected sides of"):
        inputs.read_clip(tmp_path / "a.npz")


@pytest.mark.parametrize("fps", [0.0, -5.0, 1001.0, math.inf])
def test_a_frame_rate_that_cannot_be_is_unknown(tmp_path, fps):
    np.savez(tmp_path / "a.npz", frames=FRAMES, fps=fps)
    clip = inputs.read_clip(tmp_path / "a.npz")
    assert math.isnan(clip.fps)
    assert "frames per second cannot be" in clip.notes[0]


@pytest.mark.parametrize("spacing", [["0", "0.5"], ["1000", "1000"], ["0.1", "0.5"]])
def test_a_pixel_spacing_that_cannot_be_is_unknown(tmp_path, spacing):
    write_dicom(tmp_path / "a.dcm", FRAMES, PixelSpacing=spacing)
    clip = inputs.read_clip(tmp_path / "a.dcm")
    assert all(map(math.isnan, clip.spacing_mm))
    assert "mm cannot be" in clip.notes[-1]
