import math

import numpy as np
import pytest

from echodfkd_jax.clips import inputs, timing, video
from tests.clips.dicom_file import write_dicom
from tests.clips.video_file import write_video

FRAMES = np.random.default_rng(0).integers(0, 256, (6, 16, 16), dtype=np.uint8)
# Two rates in one clip, as a recorder leaves it that drops what has not changed.
TIMES_MS = [0, 20, 40, 80, 120, 160]
VECTOR = ["0", "20", "20", "40", "40", "40"]


def test_even_times_are_a_rate():
    assert timing.from_times([1.0, 1.02, 1.04]) == timing.Timing(pytest.approx(50.0))


def test_times_that_are_rounded_are_even_and_the_header_is_exact():
    rounded = [round(1000 * index / 59.94) / 1000 for index in range(60)]
    assert timing.from_times(rounded, 59.94) == timing.Timing(59.94)


def test_uneven_times_stay():
    found = timing.from_times([0.0, 0.02, 0.04, 0.08, 0.12, 0.16], 50.0)
    assert found.fps == pytest.approx(5 / 0.16)
    np.testing.assert_allclose(found.times_s, [0.0, 0.02, 0.04, 0.08, 0.12, 0.16])


@pytest.mark.parametrize("times", [[], [0.0], [0.0, None], [0.0, 0.0, 0.1], [0.0, 0.2, 0.1]])
def test_times_that_do_not_ascend_are_not_used(times):
    assert timing.from_times(times, 25.0) == timing.Timing(25.0)


@pytest.mark.parametrize("name", ["a.mp4", "a.mkv"])
def test_a_video_of_two_rates(tmp_path, name):
    path = write_video(tmp_path / name, FRAMES, times_ms=TIMES_MS)
    clip = inputs.read_clip(path)
    np.testing.assert_allclose(clip.times_s, np.array(TIMES_MS) / 1000, atol=0.001)
    assert any("each one's own time" in note for note in clip.notes)


def test_a_video_of_one_rate_has_no_times(tmp_path):
    found = video.decode(write_video(tmp_path / "a.mkv", FRAMES, rate=60))
    assert (found.fps, found.times_s) == (60, None)


POINTER_TIME, POINTER_VECTOR = 0x00181063, 0x00181065


@pytest.mark.parametrize(
    "tags",
    [
        {"FrameTimeVector": VECTOR},
        {"FrameTimeVector": VECTOR, "FrameTime": "33", "FrameIncrementPointer": POINTER_VECTOR},
        {"FrameTimeVector": VECTOR[1:], "FrameIncrementPointer": POINTER_VECTOR},
        {"FrameTime": VECTOR},
    ],
)
def test_dicom_times_of_frames(tmp_path, tags):
    clip = inputs.read_clip(write_dicom(tmp_path / "a.dcm", FRAMES, **tags))
    np.testing.assert_allclose(clip.times_s, np.array(TIMES_MS) / 1000)
    assert clip.fps == pytest.approx(5 / 0.16)


@pytest.mark.parametrize(
    ("tags", "fps"),
    [
        ({"FrameTime": ["20", "20"]}, 50),
        ({"FrameTime": ["20", "30"], "CineRate": "30"}, 30),
        ({"FrameTime": ["20", "30"]}, math.nan),
        ({"FrameTime": "20", "FrameTimeVector": VECTOR}, 50),
        ({"FrameTime": "0", "FrameTimeVector": ["0", *["25"] * 5]}, 40),
        ({"FrameTimeVector": ["0", "20", "-20", "20", "20", "20"], "FrameTime": "20"}, 50),
        ({"FrameTime": "20", "FrameIncrementPointer": POINTER_VECTOR}, 50),
        (
            {"FrameTime": "20", "FrameTimeVector": VECTOR, "FrameIncrementPointer": POINTER_TIME},
            50,
        ),
    ],
)
def test_dicom_rate(tmp_path, tags, fps):
    clip = inputs.read_clip(write_dicom(tmp_path / "a.dcm", FRAMES, **tags))
    assert clip.fps == pytest.approx(fps, nan_ok=True)
    assert clip.times_s is None


def test_two_frame_times_are_told(tmp_path):
    clip = inputs.read_clip(write_dicom(tmp_path / "a.dcm", FRAMES, FrameTime=["20", "30"]))
    assert "FrameTime has 2 different values for 6 frames; it is not used" in clip.notes
