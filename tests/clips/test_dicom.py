import math

import numpy as np
import pytest

from echodfkd_jax.clips import dicom
from echodfkd_jax.errors import UserError
from tests.clips.dicom_file import region, write_dicom

FRAMES = np.random.default_rng(0).integers(0, 256, (4, 20, 30), dtype=np.uint8)


def test_grey_frames_come_back_as_they_are(tmp_path):
    clip = dicom.read_dicom(write_dicom(tmp_path / "a.dcm", FRAMES))
    np.testing.assert_array_equal(clip.frames, FRAMES)
    assert clip.notes == ("no ultrasound regions given; the whole picture is used",)


def test_monochrome1_is_turned_round(tmp_path):
    path = write_dicom(tmp_path / "a.dcm", FRAMES, PhotometricInterpretation="MONOCHROME1")
    np.testing.assert_array_equal(dicom.read_dicom(path).frames, 255 - FRAMES)


def test_grey_in_rgb_is_the_same_grey(tmp_path):
    path = write_dicom(tmp_path / "a.dcm", np.repeat(FRAMES[..., None], 3, axis=-1))
    np.testing.assert_array_equal(dicom.read_dicom(path).frames, FRAMES)


def test_twelve_bits_lose_their_lowest_four(tmp_path):
    deep = FRAMES.astype(np.uint16) << 4
    path = write_dicom(tmp_path / "a.dcm", deep, BitsStored=12, HighBit=11)
    np.testing.assert_array_equal(dicom.read_dicom(path).frames, FRAMES)


def test_only_the_region_is_kept_with_its_spacing(tmp_path):
    # 0.05 cm a pixel across, 0.04 cm down.
    path = write_dicom(tmp_path / "a.dcm", FRAMES, regions=[region(5, 2, 24, 17, 0.05, 0.04)])
    clip = dicom.read_dicom(path)
    np.testing.assert_array_equal(clip.frames, FRAMES[:, 2:18, 5:25])
    assert clip.spacing_mm == pytest.approx((0.4, 0.5))
    assert clip.notes == ()


def test_a_trace_of_the_ecg_beside_the_picture_is_left_out(tmp_path):
    ecg = region(0, 18, 29, 19, 0, 0, spatial=4, kind=10)
    path = write_dicom(tmp_path / "a.dcm", FRAMES, regions=[ecg, region(0, 0, 29, 17, 0.1, 0.1)])
    assert dicom.read_dicom(path).frames.shape == (4, 18, 30)


def test_a_region_outside_of_the_picture_is_not_believed(tmp_path):
    path = write_dicom(tmp_path / "a.dcm", FRAMES, regions=[region(5, 2, 60, 40, 0.05, 0.05)])
    clip = dicom.read_dicom(path)
    assert clip.frames.shape == FRAMES.shape
    assert math.isnan(clip.spacing_mm[0])
    assert "outside the picture" in clip.notes[0]


@pytest.mark.parametrize(
    ("tags", "fps"),
    [
        ({"FrameTime": "20"}, 50.0),
        ({"FrameTimeVector": ["0", "25", "25", "25"]}, 40.0),
        ({"CineRate": "30"}, 30.0),
        ({"RecommendedDisplayFrameRate": "24"}, 24.0),
        ({"FrameTime": "20", "CineRate": "30"}, 50.0),
    ],
)
def test_frame_rate(tmp_path, tags, fps):
    assert dicom.read_dicom(write_dicom(tmp_path / "a.dcm", FRAMES, **tags)).fps == fps


def test_frame_rate_may_be_unknown(tmp_path):
    assert math.isnan(dicom.read_dicom(write_dicom(tmp_path / "a.dcm", FRAMES)).fps)


@pytest.mark.parametrize(
    ("tags", "reason"),
    [
        ({"Modality": "CT"}, "modality is 'CT'"),
        ({"regions": [region(0, 0, 9, 9, 1, 1, spatial=3, kind=3)]}, "pulsed-wave Doppler"),
        ({"regions": [region(0, 0, 9, 9, 1, 1, spatial=2)]}, "M-mode"),
        ({"regions": [region(0, 0, 9, 9, 1, 1, spatial=4, kind=10)]}, "no 2-D region"),
        (
            {"PhotometricInterpretation": "PALETTE COLOR"},
            "in a palette that the file does not have",
        ),
    ],
)
def test_what_is_no_grey_clip_is_refused_with_a_reason(tmp_path, tags, reason):
    with pytest.raises(UserError, match=reason):
        dicom.read_dicom(write_dicom(tmp_path / "a.dcm", FRAMES, **tags))


def test_a_single_picture_is_refused(tmp_path):
    with pytest.raises(UserError, match="single picture"):
        dicom.read_dicom(write_dicom(tmp_path / "a.dcm", FRAMES[:1]))


def test_too_large_a_picture_is_refused_before_it_is_decoded(tmp_path):
    path = write_dicom(tmp_path / "a.dcm", FRAMES, Rows=5000)
    with pytest.raises(UserError, match="at most 4096 px"):
        dicom.read_dicom(path)


@pytest.mark.parametrize("length", [0, 200, 900])
def test_a_damaged_file_is_refused(tmp_path, length):
    path = write_dicom(tmp_path / "a.dcm", FRAMES)
    path.write_bytes(path.read_bytes()[:length])
    with pytest.raises(UserError, match=r"a\.dcm"):
        dicom.read_dicom(path)


def test_dicom_is_known_without_a_suffix(tmp_path):
    path = write_dicom(tmp_path / "a.dcm", FRAMES).rename(tmp_path / "IM_0001")
    assert dicom.is_dicom(path)
    (tmp_path / "text").write_text("DICM")
    assert not dicom.is_dicom(tmp_path / "text")
