"""Sound files of every kind that is read; `lies.py` and `damage.py` make bad ones of them."""

import dataclasses
import fractions
import functools
import gzip
import importlib.util
import io
import json
import pathlib
import struct
import zipfile
import zlib
from collections.abc import Callable

import av
import cv2
import numpy as np
import safetensors.numpy

from echodfkd_jax.networks.shipped import STUDENTS
from tests.clips.dicom_file import region, write_dicom
from tests.clips.video_file import display_matrix

TESTDATA = pathlib.Path(__file__).parents[1] / "testdata"
SAR = fractions.Fraction(4, 3)
FRAMES = np.random.default_rng(0).integers(0, 256, (4, 16, 16), np.uint8)


@dataclasses.dataclass(frozen=True)
class Sample:
    """A sound file.

    Attributes:
        reader: key of `worker.READERS`.
        content: what is damaged.
        pack: makes the file of the content, with lengths and check sums that are right, so that
            damage comes further than to those.
    """

    reader: str
    content: bytes
    pack: Callable[[bytes], bytes] = bytes


def video(container, codec, pix_fmt, *, matrix=None, sar=None, times_ms=None):
    buffer = io.BytesIO()
    with av.open(buffer, mode="w", format=container) as output:
        stream = output.add_stream(codec, rate=25)
        stream.width = stream.height = 16
        stream.pix_fmt = pix_fmt
        if matrix:
            stream.set_display_matrix(matrix)
        if sar:
            stream.codec_context.sample_aspect_ratio = sar
        if times_ms:
            stream.codec_context.time_base = fractions.Fraction(1, 1000)
        for index, grey in enumerate(FRAMES):
            rgb = np.repeat(grey[:, :, None], 3, axis=2)
            frame = av.VideoFrame.from_ndarray(rgb, format="rgb24").reformat(format=pix_fmt)
            if times_ms:
                frame.pts, frame.time_base = times_ms[index], fractions.Fraction(1, 1000)
            output.mux(stream.encode(frame))
        output.mux(stream.encode())
    return buffer.getvalue()


def npy(array):
    buffer = io.BytesIO()
    np.save(buffer, array, allow_pickle=True)
    return buffer.getvalue()


def zipped(content, name="arr_0.npy", method=zipfile.ZIP_DEFLATED):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", method) as archive:
        archive.writestr(name, content)
    return buffer.getvalue()


def npz(**arrays):
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **arrays)
    return buffer.getvalue()


def nifti():
    import nibabel

    affine = np.diag([-0.3, -0.15, 1, 1])
    return nibabel.Nifti1Image(np.ascontiguousarray(FRAMES.T), affine).to_bytes()


def png():
    return cv2.imencode(".png", FRAMES[0])[1].tobytes()


def with_png_sums(content):
    """The same with the right check sum after every piece."""
    out, at = bytearray(content[:8]), 8
    while at + 12 <= len(content):
        length = int.from_bytes(content[at : at + 4])
        piece = content[at + 4 : at + 8 + length]
        out += content[at : at + 4] + piece + struct.pack(">I", zlib.crc32(piece))
        at += 12 + length
    return bytes(out)


def dicom(compressed=False, **tags):
    buffer = io.BytesIO()
    regions = [region(2, 1, 13, 14, 0.05, 0.05)]
    write_dicom(buffer, FRAMES, regions=regions, FrameTime="20.0", **tags)
    if compressed:
        import pydicom
        from pydicom.uid import RLELossless

        buffer.seek(0)
        dataset = pydicom.dcmread(buffer)
        dataset.compress(RLELossless)
        buffer = io.BytesIO()
        dataset.save_as(buffer, enforce_file_format=True)
    return buffer.getvalue()


def deep_dicom():
    buffer = io.BytesIO()
    deep = FRAMES.astype(np.uint16) * 4
    window = {"WindowCenter": "512", "WindowWidth": "1024", "PixelAspectRatio": ["1", "2"]}
    write_dicom(buffer, deep, FrameTimeVector=["0", "20", "40", "20"], **window)
    return buffer.getvalue()


def palette_dicom():
    buffer = io.BytesIO()
    tags = {"PhotometricInterpretation": "PALETTE COLOR"}
    for colour in ("Red", "Green", "Blue"):
        tags[f"{colour}PaletteColorLookupTableDescriptor"] = [256, 0, 8]
        tags[f"{colour}PaletteColorLookupTableData"] = bytes(range(256))
    write_dicom(buffer, FRAMES, **tags)
    return buffer.getvalue()


def halved_dicom():
    """Uncompressed YBR_FULL_422."""
    buffer = io.BytesIO()
    pairs = np.full((4, 16, 8, 4), 128, np.uint8)
    pairs[..., 0], pairs[..., 1] = FRAMES[..., 0::2], FRAMES[..., 1::2]
    tags = {"PhotometricInterpretation": "YBR_FULL_422", "UltrasoundColorDataPresent": 1}
    rgb = np.repeat(FRAMES[..., None], 3, axis=-1)
    write_dicom(buffer, rgb, PixelData=pairs.tobytes(), **tags)
    return buffer.getvalue()


def bare_dicom():
    """Without preamble and meta header."""
    import pydicom

    dataset = pydicom.dcmread(io.BytesIO(dicom()))
    bare = pydicom.Dataset({element.tag: element for element in dataset})
    buffer = io.BytesIO()
    pydicom.dcmwrite(buffer, bare, implicit_vr=False, little_endian=True)
    return buffer.getvalue()


def safetensors_header(whole):
    """The JSON at the start of a safetensors file, and what makes a file of it."""
    start = 8 + int.from_bytes(whole[:8], "little")
    data = whole[start:]
    return whole[8:start], lambda header: struct.pack("<Q", len(header)) + header + data


@functools.cache
def student_arrays():
    """The state dict of a small published student."""
    with np.load(TESTDATA / "student_11_filters4.npz") as file:
        kept = {key[2:]: file[key] for key in file.files if key.startswith("w:")}
    return {key: np.array(value) for key, value in kept.items()}


def onnx_network():
    import onnx
    from onnx import TensorProto, helper

    size = (None, 1, None, None)
    put = helper.make_tensor_value_info("x", TensorProto.FLOAT, size)
    got = helper.make_tensor_value_info("y", TensorProto.FLOAT, size)
    node = helper.make_node("Sigmoid", ["x"], ["y"])
    model = helper.make_model(
        helper.make_graph([node], "g", [put], [got]),
        opset_imports=[helper.make_opsetid("", 17)],
        ir_version=8,
    )
    helper.set_model_props(model, {"output": "probability", "mean": "1.5"})
    onnx.checker.check_model(model)
    return model.SerializeToString()


def checkpoint_pickle():
    """The pickle in a PyTorch file, and what puts another one in its place."""
    with zipfile.ZipFile(TESTDATA / "student_22_filters4.ckpt") as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    place = next(name for name in members if name.endswith("data.pkl"))

    def pack(content):
        buffer = io.BytesIO()
        with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as archive:
            for name, member in members.items():
                archive.writestr(name, content if name == place else member)
        return buffer.getvalue()

    return members[place], pack


def _shown():
    masks = FRAMES[:1] > 127
    return npz(
        name=np.array("a"),
        rank=np.array("best"),
        fps=np.float64(50),
        phase_frames=np.array([0, 3]),
        frames=FRAMES,
        mask_student=FRAMES,
        reference_frames=np.array([0]),
        reference_masks=masks,
    )


def _json(value):
    return json.dumps(value).encode()


_CONFIG = {"workdir": "runs/a", "model": {"name": "convlstm"}, "train": {"batch_size": 2}}
_OVERRIDES = (
    b"--config.train.batch_size=4\n--config.workdir=runs/mine\n--stage=train\n"
    b"--config.train.sync_batch_norm=false\n--config.train.learning_rate=1e-3"
)
# By name, made when they are asked for: some need packages that are not there everywhere.
SAMPLES = {
    "avi": lambda: Sample("avi", video("avi", "mjpeg", "yuvj420p")),
    "avi_raw": lambda: Sample("avi", video("avi", "rawvideo", "yuv420p")),
    "mp4": lambda: Sample("mp4", video("mp4", "mpeg4", "yuv420p")),
    "mp4_turned": lambda: Sample(
        "mp4",
        video("mp4", "mpeg4", "yuv420p", matrix=display_matrix(0, -1, 1, 0), sar=SAR),
    ),
    "mov_uneven": lambda: Sample("mov", video("mov", "mpeg4", "yuv420p", times_ms=[0, 20, 60, 80])),
    "mkv": lambda: Sample("mkv", video("matroska", "mpeg4", "yuv420p", sar=SAR)),
    "wmv": lambda: Sample("wmv", video("asf", "wmv2", "yuv420p")),
    "mpg": lambda: Sample("mpg", video("mpeg", "mpeg1video", "yuv420p")),
    "dicom_deep": lambda: Sample("dcm", deep_dicom()),
    "dicom_palette": lambda: Sample("dcm", palette_dicom()),
    "dicom_halved": lambda: Sample("dcm", halved_dicom()),
    "dicom_bare": lambda: Sample("dcm", bare_dicom()),
    "gif": lambda: Sample("gif", video("gif", "gif", "rgb8")),
    "png": lambda: Sample("png", png()),
    "png_sums": lambda: Sample("png", png(), with_png_sums),
    "dicom": lambda: Sample("dcm", dicom()),
    "dicom_rle": lambda: Sample("dcm", dicom(compressed=True)),
    "nifti": lambda: Sample("nii", nifti()),
    "nifti_zipped": lambda: Sample("nii.gz", nifti(), gzip.compress),
    "camus_info": lambda: Sample("cfg", b"ED: 1\nES: 20\nNbFrame: 20\nEF: 50\nFrameRate: 50.0\n"),
    "npz": lambda: Sample("npz", npz(frames=FRAMES, fps=np.float64(50))),
    "npz_array": lambda: Sample("npz", npy(FRAMES), zipped),
    "npz_fps": lambda: Sample("npz", npy(np.float64(50)), lambda fps: _with_fps(fps)),
    "masks_npz": lambda: Sample("seg.npz", npz(arr_0=FRAMES)),
    "teacher_masks": lambda: Sample("teacher.seg.npz", npz(arr_0=FRAMES)),
    "masks_npy": lambda: Sample("npy", npy((FRAMES / 255).astype(np.float16))),
    "file_list": lambda: Sample(
        "filelist.csv", b"FileName,Split,FPS,EF,EDV\na.avi,TRAIN,50,60,9\nb.avi,VAL,50,55,0\n"
    ),
    "tracings": lambda: Sample(
        "tracings.csv", b"FileName,X1,Y1,X2,Y2,Frame\na.avi,1,2,3,4.5,0\na.avi,5,6,7,8,1\n"
    ),
    "outlines": lambda: Sample(
        "tracings.csv", b"FileName,X,Y,Frame\na.avi,1,2,0\na.avi,5,6,0\na.avi,,,No Systolic\n"
    ),
    "folds": lambda: Sample(
        "filelist.csv", b"FileName,EF,Sex,Split\na.avi,0.6,F,0\nb.avi,0.55,M,9\n"
    ),
    "safetensors": lambda: Sample(
        "safetensors", safetensors.numpy.save({"params/a": np.ones(4, np.float32)})
    ),
    "safetensors_header": lambda: Sample(
        "safetensors",
        *safetensors_header(
            safetensors.numpy.save({"params/a/b": np.ones(4, np.float32)}, {"note": "x"})
        ),
    ),
    "state_dict": lambda: Sample(
        "student.safetensors", *safetensors_header(safetensors.numpy.save(student_arrays()))
    ),
    "network": lambda: Sample(
        "network.safetensors", *safetensors_header(STUDENTS["best"].read_bytes())
    ),
    "metrics": lambda: Sample("metrics.json", _json({"mean": {"dice": 0.9}, "clips": [1, 2]})),
    "config": lambda: Sample("config.json", _json(_CONFIG)),
    "metadata": lambda: Sample("metadata.json", _json({"teacher": "a", "source": "b"})),
    "log": lambda: Sample("metrics.jsonl", b'{"step": 1, "loss": 0.5}\n{"step": 2, "loss": 0.4}\n'),
    "shown": lambda: Sample("shown.npz", _shown()),
    "overrides": lambda: Sample("overrides", _OVERRIDES),
    "onnx": lambda: Sample("onnx", onnx_network()),
}
if importlib.util.find_spec("torch"):
    SAMPLES["pytorch"] = lambda: Sample(
        "ckpt", (TESTDATA / "student_22_filters4.ckpt").read_bytes()
    )
    SAMPLES["pytorch_pickle"] = lambda: Sample("ckpt", *checkpoint_pickle())


@functools.cache
def get(name):
    return SAMPLES[name]()


def _with_fps(fps):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("frames.npy", npy(FRAMES))
        archive.writestr("fps.npy", fps)
    return buffer.getvalue()
