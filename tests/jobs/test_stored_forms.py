"""One heart stored in many ways: ejection fraction and rate are those of the plain pixels."""

import json

import cv2
import jax
import numpy as np
import pytest

from configs import synthetic
from echodfkd_jax.jobs import predict
from echodfkd_jax.synthesis import make_clip
from tests.clips.dicom_file import region, write_dicom
from tests.clips.video_file import display_matrix, trim, write_video

pytestmark = pytest.mark.slow
FPS = 50.0


def predicted(folder, path, **settings):
    """The JSON of one clip, by the best shipped student."""
    config = synthetic.get_config().unlock()
    config.workdir = str(folder / "no_run")
    config.student.weights = "best"
    config.predict.update(inputs=str(path), output=str(folder / "out"), **settings)
    predict.run(config)
    return json.loads((folder / "out" / f"{path.stem}.json").read_text())


@pytest.fixture(scope="module")
def heart(tmp_path_factory):
    """Frames (t, 224, 224) of a generated heart with several sure beats, and its plain numbers."""
    folder = tmp_path_factory.mktemp("plain")
    for seed in range(20):
        frames = np.asarray(make_clip(jax.random.key(seed), num_frames=96).frames)
        large = np.stack(
            [cv2.resize(f, (224, 224), interpolation=cv2.INTER_LINEAR) for f in frames]
        )
        path = folder / f"plain{seed}.npz"
        np.savez(path, frames=large, fps=FPS)
        found = predicted(folder, path)
        if len(found["beats"]) >= 3 and found["confidence"] > 0.5:
            return large, found
    pytest.skip("no clip with sure beats")


def turned(folder, frames):
    matrix = display_matrix(0, -1, 1, 0)
    stored = np.ascontiguousarray(np.rot90(frames, -1, (1, 2)))
    return write_video(folder / "a.mp4", stored, matrix=matrix)


def mirrored_by_matrix(folder, frames):
    stored = np.ascontiguousarray(frames[:, :, ::-1])
    return write_video(folder / "a.mov", stored, matrix=display_matrix(-1, 0, 0, 1))


def half_as_wide(folder, frames):
    stored = np.stack([cv2.resize(f, (112, 224), interpolation=cv2.INTER_AREA) for f in frames])
    return write_video(folder / "a.mp4", stored, sar=(2, 1))


def sixteen_to_fifteen(folder, frames):
    stored = np.stack([cv2.resize(f, (210, 224), interpolation=cv2.INTER_AREA) for f in frames])
    return write_video(folder / "a.mkv", stored, sar=(16, 15))


def trimmed(folder, frames):
    """Twenty frames of something else come first; the edit list leaves them out."""
    before = np.repeat(frames[:1, ::-1], 20, axis=0)
    path = write_video(folder / "a.mp4", np.concatenate([before, frames]))
    return trim(path, start_ms=400, length_ms=20 * len(frames))


def deep(folder, frames):
    window = {"WindowCenter": "512", "WindowWidth": "1024"}
    return write_dicom(folder / "a.dcm", frames.astype(np.uint16) * 4, FrameTime="20", **window)


def eight_in_sixteen(folder, frames):
    return write_dicom(folder / "a.dcm", frames.astype(np.uint16), FrameTime="20")


def flagged_sepia(folder, frames):
    sepia = np.stack([frames, 0.9 * frames, 0.7 * frames], axis=-1).astype(np.uint8)
    side = frames.shape[1] - 1
    box = region(0, 0, side, side, 0.05, 0.05, kind=2)
    return write_dicom(folder / "a.dcm", sepia, regions=[box], FrameTime="20")


def half_as_wide_dicom(folder, frames):
    stored = np.stack([cv2.resize(f, (112, 224), interpolation=cv2.INTER_AREA) for f in frames])
    return write_dicom(folder / "a.dcm", stored, FrameTime="20", PixelAspectRatio=["1", "2"])


def named_times(folder, frames):
    vector = ["0", *["20"] * (len(frames) - 1)]
    tags = {"FrameTimeVector": vector, "FrameTime": "33.3", "FrameIncrementPointer": 0x00181065}
    return write_dicom(folder / "a.dcm", frames, **tags)


FORMS = [
    turned,
    mirrored_by_matrix,
    half_as_wide,
    sixteen_to_fifteen,
    trimmed,
    deep,
    eight_in_sixteen,
    flagged_sepia,
    half_as_wide_dicom,
    named_times,
]


@pytest.mark.parametrize("form", FORMS, ids=lambda form: form.__name__)
def test_a_stored_form_has_the_numbers_of_the_plain_one(heart, tmp_path, form):
    frames, plain = heart
    found = predicted(tmp_path, form(tmp_path, frames))
    assert found["num_frames"] == plain["num_frames"]
    assert found["ef_disks_percent"] == pytest.approx(plain["ef_disks_percent"], abs=2)
    assert found["heart_rate_per_min"] == pytest.approx(plain["heart_rate_per_min"], abs=3)


def test_every_other_frame_of_a_half_leaves_the_rate(heart, tmp_path):
    frames, plain = heart
    kept = np.r_[:48, 48:96:2]
    path = write_video(tmp_path / "a.mkv", frames[kept], times_ms=20 * kept)
    found = predicted(tmp_path, path)
    assert len(found["times_s"]) == len(kept)
    assert found["heart_rate_per_min"] == pytest.approx(plain["heart_rate_per_min"], abs=3)
    assert found["ef_disks_percent"] == pytest.approx(plain["ef_disks_percent"], abs=4)


def test_a_mirrored_view_is_turned_or_doubted(heart, tmp_path):
    frames, plain = heart
    path = tmp_path / "a.npz"
    np.savez(path, frames=frames[:, :, ::-1], fps=FPS)
    found = predicted(tmp_path, path)
    close = abs(found["ef_disks_percent"] - plain["ef_disks_percent"]) <= 2
    assert close or any("left and right" in remark.lower() for remark in found["remarks"])
    stated = predicted(tmp_path, path, mirrored="yes")
    assert stated["ef_disks_percent"] == pytest.approx(plain["ef_disks_percent"], abs=0.5)
    assert stated["shown"]["left_and_right_exchanged"]
