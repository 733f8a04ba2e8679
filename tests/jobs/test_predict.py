import csv
import io
import json
import math
import sys
import types

import av
import cv2
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from echodfkd_jax.clips import inputs, video
from echodfkd_jax.errors import UserError
from echodfkd_jax.evaluation.segmentation import dice
from echodfkd_jax.jobs import predict
from echodfkd_jax.networks import predict_clip
from echodfkd_jax.networks.registry import build_model, describe_model
from echodfkd_jax.networks.safetensors import save_variables
from echodfkd_jax.networks.shipped import load_student
from echodfkd_jax.synthesis import make_clip
from tests import factories
from tests.clips import echonet_folder
from tests.clips.dicom_file import region, write_dicom
from tests.jobs import made_up_run

FPS = 50.0


@pytest.fixture
def config(tmp_path):
    """No run: the student is that of a file of random weights."""
    made = made_up_run.config(tmp_path / "run")
    model = build_model(**made.model)
    variables = factories.random_weights(model, jnp.zeros((1, 1, 112, 112, 1)))
    path = tmp_path / "student.safetensors"
    save_variables(path, variables, {"model": describe_model(model)})
    made.student.weights = str(path)
    made.predict.output = str(tmp_path / "out")
    return made


def predict_into(config, path):
    config.predict.inputs = str(path)
    predict.run(config)


def test_every_clip_has_four_files_and_a_line(config, tmp_path, capsys):
    folder = made_up_run.save_clips(tmp_path / "clips", names=("a", "b"), masks=False)
    predict_into(config, folder / "Videos")
    found = sorted(path.name for path in (tmp_path / "out").iterdir())
    suffixes = ("json", "mp4", "png", "seg.npz")
    wanted = [f"{name}.{suffix}" for name in ("a", "b") for suffix in suffixes]
    assert found == [*wanted, "predictions.csv"]
    mask = np.load(tmp_path / "out" / "b.seg.npz")["arr_0"]
    assert (mask.shape, mask.dtype) == ((25, 112, 112), np.uint8)
    content = json.loads((tmp_path / "out" / "b.json").read_text())
    assert (content["num_frames"], content["fps"]) == (25, FPS)
    assert len(content["area_px"]) == 25
    assert "not a medical device" in content["notice"]
    with (tmp_path / "out" / "predictions.csv").open() as file:
        assert [(row["name"], row["status"]) for row in csv.DictReader(file)] == [
            ("a", "ok"),
            ("b", "ok"),
        ]
    assert "2 of 2 clips" in capsys.readouterr().out


def test_the_overlay_is_what_browsers_play(config, tmp_path):
    folder = made_up_run.save_clips(tmp_path / "clips", names=("a",), masks=False)
    predict_into(config, folder / "Videos" / "a.avi")
    with av.open(str(tmp_path / "out" / "a.mp4")) as container:
        stream = container.streams.video[0]
        assert (stream.codec_context.name, stream.pix_fmt) == ("h264", "yuv420p")
        assert float(stream.average_rate) == FPS
        assert sum(1 for _ in container.decode(stream)) == 24


def test_a_bad_file_does_not_stop_the_others(config, tmp_path, capsys):
    folder = made_up_run.save_clips(tmp_path / "clips", names=("b",), masks=False) / "Videos"
    (folder / "a.avi").write_text("no clip")
    predict_into(config, folder)
    captured = capsys.readouterr()
    lines = [line for line in captured.err.splitlines() if "left out:" in line]
    assert len(lines) == 1 and "a.avi" in lines[0]
    assert "1 of 2 clips" in captured.out


def test_nothing_but_bad_files_is_an_error(config, tmp_path):
    (tmp_path / "a.avi").write_text("no clip")
    with pytest.raises(UserError, match="none of the 1 clips"):
        predict_into(config, tmp_path / "a.avi")


def test_a_clip_of_one_grey_is_refused(config, tmp_path, capsys):
    np.savez(tmp_path / "grey.npz", frames=np.full((20, 112, 112), 64, np.uint8), fps=FPS)
    with pytest.raises(UserError, match="none of the 1 clips"):
        predict_into(config, tmp_path / "grey.npz")
    assert "grey.npz: every pixel of it is 64" in capsys.readouterr().err


def test_earlier_results_are_no_clips(config, tmp_path):
    folder = made_up_run.save_clips(tmp_path / "out", names=("a",), masks=False)
    with pytest.raises(UserError, match=r"set another config\.predict\.output"):
        predict_into(config, folder)


def test_the_student_of_the_run_is_taken_first(config, capsys, tmp_path):
    made_up_run.save_run(config)
    config.student.weights = ""
    folder = made_up_run.save_clips(tmp_path / "clips", names=("a",), masks=False)
    predict_into(config, folder / "Videos")
    assert "student: step 3 of" in capsys.readouterr().out


def test_a_large_colour_clip_at_sixty_hertz(config, tmp_path):
    pictures = np.zeros((20, 600, 800, 3), np.uint8)
    pictures[:, 200:400, 300:500] = (10, 200, 90)
    with av.open(str(tmp_path / "a.mp4"), "w") as container:
        stream = container.add_stream("libx264", 60)
        stream.height, stream.width, stream.pix_fmt = 600, 800, "yuv420p"
        for picture in pictures:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode())
    predict_into(config, tmp_path / "a.mp4")
    content = json.loads((tmp_path / "out" / "a.json").read_text())
    assert content["fps"] == 60
    assert content["box_px"] == {"top": 0, "left": 100, "height": 600, "width": 600}


def test_dicom_brings_its_spacing(config, tmp_path):
    frames, _ = echonet_folder.beat(24)
    box = region(0, 0, 111, 111, 0.1, 0.1)
    write_dicom(tmp_path / "a.dcm", frames, regions=[box], FrameTime="20")
    predict_into(config, tmp_path / "a.dcm")
    content = json.loads((tmp_path / "out" / "a.json").read_text())
    assert content["pixel_spacing_mm"] == [1.0, 1.0]
    assert content["fps"] == 50


def test_formats_lie_beside_and_are_no_clips(config, tmp_path, capsys):
    frames, _ = echonet_folder.beat(24)
    write_dicom(tmp_path / "a.dcm", frames, FrameTime="20")
    config.predict.formats = ("coco", "labelme")
    predict_into(config, tmp_path / "a.dcm")
    found = {path.name for path in (tmp_path / "out").iterdir()}
    assert found >= {"a.coco", "a.labelme", "a.json", "predictions.csv"}
    config.predict.output = str(tmp_path / "other")
    with pytest.raises(UserError, match="no clip there") as told:
        predict_into(config, tmp_path / "out")
    assert ".png" not in str(told.value).partition("passed over")[2]


def test_a_format_that_does_not_take_a_clip_is_told(config, tmp_path, capsys):
    pytest.importorskip("highdicom")
    frames, _ = echonet_folder.beat(24)
    np.savez(tmp_path / "a.npz", frames=frames, fps=FPS)
    config.predict.formats = ("dicom",)
    predict_into(config, tmp_path / "a.npz")
    said = "not written as dicom: it is of no DICOM file"
    assert f"a: {said}" in capsys.readouterr().err
    assert said in json.loads((tmp_path / "out" / "a.json").read_text())["notes"]


@pytest.mark.parametrize(("field", "value"), [("crop", "round"), ("fps", -1.0), ("fps", math.nan)])
def test_impossible_settings(config, field, value):
    config.predict[field] = value
    with pytest.raises(UserError, match=rf"config\.predict\.{field}="):
        predict.run(config)


def stream(config, monkeypatch, content):
    stdin = types.SimpleNamespace(buffer=io.BytesIO(content))
    monkeypatch.setattr(sys, "stdin", stdin)
    config.predict.stream = True
    predict.run(config)


def test_a_stream_answers_every_frame(config, monkeypatch, capsys, tmp_path):
    frames, _ = echonet_folder.beat(5)
    stream(config, monkeypatch, frames.tobytes())
    captured = capsys.readouterr()
    lines = [json.loads(line) for line in captured.out.splitlines()]
    assert [line["frame"] for line in lines] == [0, 1, 2, 3, 4]
    assert all(line["latency_ms"] > 0 for line in lines)
    assert "5 frames" in captured.err
    masks = np.fromfile(tmp_path / "out" / "stream.masks", np.uint8).reshape(5, 112, 112)
    student = load_student(config.student.weights)
    np.testing.assert_array_equal(masks, predict_clip(student, frames)[..., 0])


def test_a_stream_that_ends_within_a_frame(config, monkeypatch):
    with pytest.raises(UserError, match="ends with 7 bytes of a frame"):
        stream(config, monkeypatch, bytes(112 * 112 + 7))


@pytest.mark.slow
def test_one_clip_in_every_format_gives_one_mask(tmp_path):
    frames = np.asarray(make_clip(jax.random.key(3), num_frames=32).frames)
    video.write_avi(tmp_path / "a.avi", frames, FPS)
    np.savez(tmp_path / "a.npz", frames=frames, fps=FPS)
    write_dicom(tmp_path / "a.dcm", np.repeat(frames[..., None], 3, axis=-1), FrameTime="20")
    for name, codec, pixels in (("a.mp4", "libx264", "yuv420p"), ("a.gif", "gif", "gray")):
        with av.open(str(tmp_path / name), "w") as container:
            stream = container.add_stream(codec, int(FPS))
            stream.height, stream.width, stream.pix_fmt = 112, 112, pixels
            if codec == "libx264":
                stream.options = {"crf": "10"}  # Hardly any loss: it is formats that are compared.
            for frame in frames:
                container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="gray")))
            container.mux(stream.encode())
    (tmp_path / "a").mkdir()
    for index, frame in enumerate(frames):
        cv2.imwrite(str(tmp_path / "a" / f"{index}.png"), frame)
    student = load_student()
    wanted = predict_clip(student, frames)[..., 0] > 127
    assert wanted.sum() > 32 * 100
    for name in ("a.avi", "a.npz", "a.dcm", "a.mp4", "a.gif", "a"):
        fitted = inputs.fit(inputs.read_clip(tmp_path / name))
        found = predict_clip(student, fitted.frames)[..., 0] > 127
        assert found.shape == wanted.shape, name
        assert dice(found, wanted).min() >= 0.98, name
