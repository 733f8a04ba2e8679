import math
import pathlib

import cv2
import numpy as np
import pytest

from echodfkd_jax.clips import inputs, video
from echodfkd_jax.clips.inputs import Box, SourceClip
from echodfkd_jax.errors import UserError
from tests.clips.dicom_file import write_dicom

FRAMES = np.random.default_rng(0).integers(0, 256, (5, 16, 24), dtype=np.uint8)


def source(frames=FRAMES, spacing=(math.nan, math.nan)):
    return SourceClip(frames, 50.0, spacing, ())


def save_pngs(folder, frames, names=None):
    folder.mkdir()
    for index, frame in enumerate(frames):
        cv2.imwrite(str(folder / f"{names[index] if names else index}.png"), frame)
    return folder


def test_a_folder_gives_its_clips_and_not_its_masks(tmp_path):
    (tmp_path / "deep").mkdir()
    video.write_avi(tmp_path / "b.avi", FRAMES, 50.0)
    np.savez(tmp_path / "deep" / "a.npz", frames=FRAMES)
    np.savez(tmp_path / "b.seg.npz", FRAMES)
    write_dicom(tmp_path / "IM1", FRAMES)
    save_pngs(tmp_path / "stills", FRAMES)
    (tmp_path / "readme.txt").write_text("no clip")
    (tmp_path / ".hidden.avi").write_text("")
    found = [str(path.relative_to(tmp_path)) for path in inputs.find_inputs(str(tmp_path))]
    assert found == ["IM1", "b.avi", "deep/a.npz", "stills"]


def test_a_folder_that_leads_back_to_itself_ends(tmp_path):
    video.write_avi(tmp_path / "b.avi", FRAMES, 50.0)
    (tmp_path / "loop").symlink_to(tmp_path)
    assert inputs.find_inputs(str(tmp_path)) == [tmp_path / "b.avi"]


def test_a_glob(tmp_path):
    for name in ("a1.avi", "a2.avi", "b.avi"):
        video.write_avi(tmp_path / name, FRAMES, 50.0)
    found = inputs.find_inputs(str(tmp_path / "a*.avi"))
    assert [path.name for path in found] == ["a1.avi", "a2.avi"]


@pytest.mark.parametrize("pattern", ["", "nowhere", "nowhere/*.avi"])
def test_nothing_found(tmp_path, pattern):
    with pytest.raises(UserError, match=r"config\.predict\.inputs"):
        inputs.find_inputs(pattern and str(tmp_path / pattern))


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


def test_names_stay_in_the_folder_and_differ():
    paths = ["a/../../evil.avi", "x/a b;c.avi", "y/A B;C.mp4", "..", "-rf.avi", "ü.avi", "q" * 200]
    found = inputs.safe_names([pathlib.Path(path) for path in paths])
    assert found == ["evil", "a_b_c", "A_B_C_2", "clip", "rf", "clip_2", "q" * 100]


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
