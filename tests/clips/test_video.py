import gc
import pathlib

import av
import cv2
import numpy as np
import pytest

from echodfkd_jax.clips import video
from echodfkd_jax.errors import UserError


def _frames(num_frames=12, height=48, width=64):
    y, x = np.mgrid[:height, :width]
    return np.stack([(2 * x + y + 5 * t) % 200 for t in range(num_frames)]).astype(np.uint8)


def _write_color(path: pathlib.Path, codec: str, pixel_format: str) -> None:
    generator = np.random.default_rng(0)
    with av.open(str(path), mode="w") as container:
        stream = container.add_stream(codec, rate=25)
        stream.height, stream.width, stream.pix_fmt = 48, 64, pixel_format
        for _ in range(6):
            coarse = generator.integers(0, 256, (6, 8, 3), np.uint8)
            rgb = np.kron(coarse, np.ones((8, 8, 1), np.uint8))
            container.mux(stream.encode(av.VideoFrame.from_ndarray(rgb, format="rgb24")))
        container.mux(stream.encode())


def test_avi_comes_back_within_jpeg_loss(tmp_path):
    path = tmp_path / "clip.avi"
    video.write_avi(path, _frames(), 47.0)
    found = video.decode(path)
    frames, fps = found.frames, found.fps
    assert frames.shape == (12, 48, 64)
    assert fps == 47.0
    assert np.abs(frames.astype(int) - _frames()).mean() < 3


@pytest.mark.parametrize(
    ("name", "codec", "pixel_format"),
    [("clip.avi", "mjpeg", "yuvj420p"), ("clip.mp4", "mpeg4", "yuv420p")],
)
def test_grey_values_are_those_of_opencv(tmp_path, name, codec, pixel_format):
    path = tmp_path / name
    _write_color(path, codec, pixel_format)
    capture = cv2.VideoCapture(str(path))
    expected = []
    while (read := capture.read())[0]:
        expected.append(cv2.cvtColor(read[1], cv2.COLOR_BGR2GRAY))
    frames = video.decode(path).frames
    assert len(expected) == 6
    np.testing.assert_array_equal(frames, np.stack(expected))


def test_no_thread_outlives_its_file(tmp_path):
    tasks = pathlib.Path("/proc/self/task")
    if not tasks.is_dir():
        pytest.skip("the threads of a process are counted on Linux alone")
    _write_color(tmp_path / "a.mp4", "libx264", "yuv420p")
    video.decode(tmp_path / "a.mp4")  # What is set up once.
    before = len(list(tasks.iterdir()))
    gc.disable()
    try:
        for _ in range(3):
            video.decode(tmp_path / "a.mp4")
        assert len(list(tasks.iterdir())) == before
    finally:
        gc.enable()


def test_gif_is_read(tmp_path):
    path = tmp_path / "clip.gif"
    _write_color(path, "gif", "rgb8")
    assert video.decode(path).frames.shape == (6, 48, 64)


def test_truncated_file_gives_its_first_frames_and_what_it_claims(tmp_path):
    path = tmp_path / "clip.avi"
    video.write_avi(path, _frames(), 50.0)
    whole = video.decode(path)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    half = video.decode(path)
    assert 0 < len(half.frames) < 12
    assert half.declared_frames == whole.declared_frames == 12
    # The last frame may be cut in its middle.
    complete = len(half.frames) - 1
    np.testing.assert_array_equal(half.frames[:complete], whole.frames[:complete])


@pytest.mark.parametrize("content", [b"", b"RIFF", b"no video at all" * 20])
def test_unreadable_file_is_named(tmp_path, content):
    path = tmp_path / "clip.avi"
    path.write_bytes(content)
    with pytest.raises(UserError, match=r"clip\.avi: not readable as a video"):
        video.decode(path)


def test_header_without_a_frame_is_refused(tmp_path):
    path = tmp_path / "clip.avi"
    video.write_avi(path, _frames(), 50.0)
    content = path.read_bytes()
    path.write_bytes(content[: content.index(b"00dc")])
    with pytest.raises(UserError, match=r"clip\.avi"):
        video.decode(path)


def test_absent_file_is_named(tmp_path):
    with pytest.raises(UserError, match=r"clip\.avi: no such file"):
        video.decode(tmp_path / "clip.avi")


def test_unknown_kind_is_refused(tmp_path):
    with pytest.raises(UserError, match=r"kind '\.txt' are not read; use \.avi, \.gif"):
        video.decode(tmp_path / "clip.txt")


@pytest.mark.parametrize("name", ["frames", "arr_0"])
def test_npz_is_read(tmp_path, name):
    path = tmp_path / "clip.npz"
    np.savez(path, **{name: _frames(), "fps": 32.0})
    found = video.decode(path)
    frames, fps = found.frames, found.fps
    np.testing.assert_array_equal(frames, _frames())
    assert fps == 32.0


def test_npz_without_frame_rate(tmp_path):
    path = tmp_path / "clip.npz"
    np.savez(path, _frames()[..., None])
    found = video.decode(path)
    frames, fps = found.frames, found.fps
    assert frames.shape == (12, 48, 64)
    assert np.isnan(fps)


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"video": _frames()}, r"has arrays \['video'\]; expected 'frames' or 'arr_0'"),
        ({"frames": _frames()[0]}, r"frames are uint8\[48, 64\]; expected uint8 \(t, h, w\)"),
        ({"frames": _frames() / 255}, r"frames are float64\[12, 48, 64\]"),
        ({"frames": _frames()[:0]}, r"frames are uint8\[0, 48, 64\]"),
    ],
)
def test_npz_of_another_kind_is_refused(tmp_path, arrays, message):
    path = tmp_path / "clip.npz"
    np.savez(path, **arrays)
    with pytest.raises(UserError, match=message):
        video.decode(path)


def test_damaged_npz_is_named(tmp_path):
    path = tmp_path / "clip.npz"
    np.savez(path, _frames())
    path.write_bytes(path.read_bytes()[:500])
    with pytest.raises(UserError, match=r"clip\.npz: not readable as NPY or NPZ"):
        video.decode(path)


def test_frames_that_are_too_large_are_refused_before_decoding(tmp_path, monkeypatch):
    path = tmp_path / "clip.avi"
    video.write_avi(path, _frames(), 50.0)
    monkeypatch.setattr(video, "MAX_SIDE_PX", 63)
    with pytest.raises(UserError, match="frames are 64x48; at most 63 px a side"):
        video.decode(path)


def test_npz_of_too_many_pixels_is_refused(tmp_path, monkeypatch):
    path = tmp_path / "clip.npz"
    np.savez(path, _frames())
    monkeypatch.setattr(video, "MAX_CLIP_BYTES", 12 * 48 * 64 - 1)
    with pytest.raises(UserError, match="MiB of frames"):
        video.decode(path)


def test_too_many_frames_are_refused(tmp_path, monkeypatch):
    path = tmp_path / "clip.avi"
    video.write_avi(path, _frames(), 50.0)
    monkeypatch.setattr(video, "MAX_FRAMES", 11)
    with pytest.raises(UserError, match="more than 11 frames"):
        video.decode(path)


def test_shrinking_averages_the_area():
    frames = np.zeros((1, 4, 4), np.uint8)
    frames[0, 0] = [0, 160, 0, 0]  # an edge pixel, which interpolation at the centre would miss
    assert video.resize(frames, 1).tolist() == [[[10]]]


def test_nothing_to_resize():
    frames = _frames(height=64)
    assert video.resize(frames, 64) is frames


def test_enlarging_interpolates():
    frames = np.array([[[0, 100], [0, 100]]], np.uint8)
    assert video.resize(frames, 4)[0, 0].tolist() == [0, 25, 75, 100]
