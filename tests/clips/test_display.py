"""Stored pixels that are not meant to be shown as they are, against the same stored plainly."""

import math

import cv2
import numpy as np
import pytest

from echodfkd_jax.clips import display, inputs, video
from echodfkd_jax.errors import UserError
from tests.clips.dicom_file import region, write_dicom
from tests.clips.video_file import display_matrix, trim, write_video


def pictures(num_frames=6, height=64, width=96):
    """Smooth, and without any symmetry."""
    y, x = np.mgrid[:height, :width]
    return np.stack([(x + y * y // 64 + 9 * t) % 200 + 20 for t in range(num_frames)]).astype(
        np.uint8
    )


# How a pixel (x, y) is shown, and what the stored picture has to be so that it is upright then.
STORED = {
    "90": (display_matrix(0, -1, 1, 0), lambda shown: np.rot90(shown, -1, (1, 2))),
    "180": (display_matrix(-1, 0, 0, -1), lambda shown: np.rot90(shown, 2, (1, 2))),
    "270": (display_matrix(0, 1, -1, 0), lambda shown: np.rot90(shown, 1, (1, 2))),
    "mirrored": (display_matrix(-1, 0, 0, 1), lambda shown: shown[:, :, ::-1]),
    "upside down": (display_matrix(1, 0, 0, -1), lambda shown: shown[:, ::-1]),
    "transposed": (display_matrix(0, 1, 1, 0), lambda shown: shown.transpose(0, 2, 1)),
    "across": (
        display_matrix(0, -1, -1, 0),
        lambda shown: np.rot90(shown, 2, (1, 2)).transpose(0, 2, 1),
    ),
}


@pytest.mark.parametrize("name", STORED)
@pytest.mark.parametrize("suffix", [".mp4", ".mov", ".m4v"])
def test_turned_pixels_come_upright(tmp_path, name, suffix):
    shown = pictures()
    matrix, stored = STORED[name]
    path = write_video(tmp_path / f"a{suffix}", np.ascontiguousarray(stored(shown)), matrix=matrix)
    clip = inputs.read_clip(path)
    assert clip.frames.shape == shown.shape
    assert np.abs(clip.frames.astype(int) - shown).mean() < 4
    assert clip.turn.is_needed
    assert any("as the file asks" in note for note in clip.notes)


def test_a_slanted_picture_is_turned_too():
    turn = display.turn_of_matrix([56756, -32768, 0, 32768, 56756, 0, 0, 0, 1 << 30])
    assert turn == display.Turn(mirrored=False, degrees=pytest.approx(30, abs=0.01))
    frame = np.zeros((40, 60), np.uint8)
    frame[18:22, 5:55] = 200  # A level bar.
    turned = display.turn_frame(frame, turn)
    y, x = np.nonzero(turned > 100)
    assert math.degrees(math.atan2(-np.polyfit(x, y, 1)[0], 1)) == pytest.approx(30, abs=2)
    assert (turned > 100).sum() == pytest.approx(200, rel=0.1)


@pytest.mark.parametrize("matrix", [[0] * 9, [1 << 16, 0, 0, 0, 0, 0, 0, 0, 1 << 30]])
def test_a_matrix_that_shows_nothing_is_ignored(matrix):
    assert not display.turn_of_matrix(matrix).is_needed


@pytest.mark.parametrize(
    ("name", "codec", "sar", "stored_shape"),
    [
        ("a.mp4", "libx264", (2, 1), (96, 48)),
        ("a.mkv", "libx264", (16, 15), (96, 90)),
        ("a.avi", "mpeg4", (4, 3), (96, 72)),
        ("a.mov", "mpeg4", (1, 2), (48, 96)),
    ],
)
def test_pixels_become_square(tmp_path, name, codec, sar, stored_shape):
    shown = pictures(height=96)
    height, width = stored_shape
    stored = np.stack(
        [cv2.resize(frame, (width, height), interpolation=cv2.INTER_AREA) for frame in shown]
    )
    clip = inputs.read_clip(write_video(tmp_path / name, stored, codec=codec, sar=sar))
    assert clip.frames.shape == shown.shape
    # The pattern's edges are soft after two scalings.
    assert np.median(np.abs(clip.frames.astype(int) - shown)) < 4
    assert any("were made square" in note for note in clip.notes)


def test_a_quarter_turn_exchanges_the_sides_of_a_pixel(tmp_path):
    matrix, stored = STORED["90"]
    shown = pictures(height=96, width=96)
    narrow = np.ascontiguousarray(stored(shown)[:, :, ::2])
    clip = inputs.read_clip(write_video(tmp_path / "a.mp4", narrow, sar=(2, 1), matrix=matrix))
    assert clip.frames.shape == shown.shape
    assert np.median(np.abs(clip.frames.astype(int) - shown)) < 4


@pytest.mark.parametrize(
    "tags",
    [
        {"PixelAspectRatio": ["1", "2"]},
        {"PixelSpacing": ["0.2", "0.4"]},
        {"regions": [region(0, 0, 29, 39, 0.04, 0.02)]},
    ],
)
def test_dicom_pixels_become_square(tmp_path, tags):
    frames = pictures(height=40, width=30)
    clip = inputs.read_clip(write_dicom(tmp_path / "a.dcm", frames, **tags))
    assert clip.frames.shape == (6, 40, 60)
    np.testing.assert_array_equal(clip.frames, display.square_pixels(frames, 2.0))
    if "PixelAspectRatio" not in tags:
        assert clip.spacing_mm == pytest.approx((0.2, 0.2))


def test_a_ratio_that_cannot_be_is_not_believed(tmp_path):
    path = write_dicom(tmp_path / "a.dcm", pictures(), PixelAspectRatio=["1", "1000"])
    assert inputs.read_clip(path).frames.shape == (6, 64, 96)


def test_square_pixels_may_not_become_too_many(tmp_path, monkeypatch):
    path = write_video(tmp_path / "a.mp4", pictures(), sar=(2, 1))
    monkeypatch.setattr(video, "MAX_SIDE_PX", 100)
    with pytest.raises(UserError, match="192x64; at most 100 px"):
        inputs.read_clip(path)


def test_what_an_edit_list_leaves_out_is_not_missing(tmp_path):
    shown = pictures(num_frames=40)
    path = trim(write_video(tmp_path / "a.mp4", shown), start_ms=300, length_ms=400)
    whole = video.decode(write_video(tmp_path / "b.mp4", shown))
    trimmed = video.decode(path)
    assert len(trimmed.frames) == trimmed.declared_frames
    np.testing.assert_array_equal(trimmed.frames, whole.frames[15 : 15 + len(trimmed.frames)])
    assert abs(len(trimmed.frames) - 20) <= 1
    assert trimmed.fps == 50
    assert inputs.read_clip(path).notes == ()


def test_a_count_in_a_header_is_a_hint(tmp_path):
    path = tmp_path / "a.avi"
    video.write_avi(path, pictures(), 50.0)
    content = bytearray(path.read_bytes())
    for place in (content.index(b"avih") + 24, content.index(b"strh") + 40):
        content[place : place + 4] = (600).to_bytes(4, "little")
    path.write_bytes(content)
    found = video.decode(path)
    assert len(found.frames) == found.declared_frames == 6


@pytest.mark.parametrize(
    ("name", "codec"), [("a.mkv", "libx264"), ("a.wmv", "wmv2"), ("a.mpg", "mpeg1video")]
)
def test_other_containers_are_read(tmp_path, name, codec):
    shown = pictures(num_frames=20)
    found = video.decode(write_video(tmp_path / name, shown, codec=codec))
    assert found.frames.shape == shown.shape
    assert np.abs(found.frames.astype(int) - shown).mean() < 6
    assert (found.fps, found.times_s) == (50, None)


def test_a_matroska_that_was_cut_off_says_so(tmp_path):
    path = write_video(tmp_path / "a.mkv", pictures(num_frames=40))
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    found = video.decode(path)
    assert len(found.frames) < found.declared_frames == 40
