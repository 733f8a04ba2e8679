"""Headers that claim what the file does not hold, and files that want more than to be read."""

import io
import json
import os
import pickle
import struct
import zipfile

import numpy as np
import pydicom
import safetensors.numpy

from tests.fuzz import samples
from tests.fuzz.samples import FRAMES

# 15,000 x 15,000 is what FFmpeg itself still takes.
_SIDES = (60_000, 15_000)


class _Payload:
    def __init__(self, marker):
        self._marker = marker

    def __reduce__(self):
        return os.system, (f"touch {self._marker}",)


def all_lies(marker):
    """Name -> (reader, bytes). Whatever is unpickled unguarded leaves a file `marker`."""
    found = dict(_pictures())
    found |= _arrays(marker)
    found |= _weights(marker)
    found |= _texts()
    return found


def _pictures():
    avi, mp4, gif, png = (samples.get(name).content for name in ("avi", "mp4", "gif", "png"))
    raw = samples.get("avi_raw").content
    dicom = samples.get("dicom").content
    for side in _SIDES:
        small, large = struct.pack("<II", 16, 16), struct.pack("<II", side, side)
        yield f"avi {side}", ("avi", avi.replace(small, large))
        yield f"raw avi {side}", ("avi", raw.replace(small, large))
        frame = avi.replace(struct.pack(">HH", 16, 16), struct.pack(">HH", side, side))
        yield f"avi, frame {side}", ("avi", frame)
        size = struct.pack(">HH", 16, 16), struct.pack(">HH", side, side)
        yield f"mp4 {side}", ("mp4", mp4.replace(*size))
        wide = struct.pack(">II", 16 << 16, 16 << 16), struct.pack(">II", side << 16, side << 16)
        yield f"mp4 track {side}", ("mp4", mp4.replace(*wide) if side < 2**15 else mp4)
        yield f"gif {side}", ("gif", gif[:6] + struct.pack("<HH", side, side) + gif[10:])
        header = png[:16] + struct.pack(">II", side, side) + png[24:]
        yield f"png {side}", ("png", header)
        yield f"png {side}, sums right", ("png", samples.with_png_sums(header))
        yield f"dicom {side}", ("dcm", _dicom_claim(dicom, Rows=side, Columns=side))
    yield "dicom, 2 billion frames", ("dcm", _dicom_claim(dicom, NumberOfFrames="2000000000"))
    yield "dicom, spacing", ("dcm", samples.dicom(PixelSpacing=["1e-300", "1e300"]))
    halved = samples.get("dicom_halved").content
    yield "dicom, 2 billion halved", ("dcm", _dicom_claim(halved, NumberOfFrames="2000000000"))
    yield "dicom, a thin pixel", ("dcm", samples.dicom(PixelAspectRatio=["1", "2000000000"]))
    deep = samples.get("dicom_deep").content
    yield "dicom, window of nothing", ("dcm", _dicom_claim(deep, WindowWidth="1e-300"))
    yield "dicom, window of all", ("dcm", _dicom_claim(deep, WindowWidth="1e300"))
    yield "dicom, steep rescale", ("dcm", _dicom_claim(deep, RescaleSlope="1e300"))
    yield "dicom, endless steps", ("dcm", _dicom_claim(deep, FrameTimeVector=["0", *["1e300"] * 3]))
    matrix = samples.get("mp4_turned").content
    one = struct.pack(">i", 1 << 16)
    yield "mp4, matrix", ("mp4", matrix.replace(one, struct.pack(">i", 2**31 - 1)))
    yield "gif, many large frames", ("gif", _gif_bomb())
    yield "a playlist", ("avi", b"#EXTM3U\n#EXTINF:1,\nfile:///etc/passwd\n")
    yield "a list of files", ("mp4", b"ffconcat version 1.0\nfile /etc/passwd\n")


def _dicom_claim(content, **tags):
    dataset = pydicom.dcmread(io.BytesIO(content))
    for name, value in tags.items():
        setattr(dataset, name, value)
    buffer = io.BytesIO()
    dataset.save_as(buffer, enforce_file_format=True)
    return buffer.getvalue()


def _gif_bomb():
    """A hundred pictures of one pixel on a canvas as large as it may be."""
    picture = b"\x2c" + struct.pack("<HHHHB", 0, 0, 1, 1, 0) + b"\x02\x02\x44\x01\x00"
    head = b"GIF89a" + struct.pack("<HH", 4096, 4096) + b"\x80\0\0" + b"\0\0\0\xff\xff\xff"
    return head + 100 * picture + b";"


def npy_claim(shape, descr="|u1", version=1):
    """An NPY header."""
    header = str({"descr": descr, "fortran_order": False, "shape": shape}).encode() + b"\n"
    size = struct.pack("<H" if version == 1 else "<I", len(header))
    return b"\x93NUMPY" + bytes((version, 0)) + size + header


def _arrays(marker):
    rows = npy_claim((10**9, 112, 112))
    bomb = samples.zipped(npy_claim((2**30,)) + bytes(2**26))
    # Just within what is read.
    large = samples.zipped(npy_claim((31, 4096, 4096)) + bytes(31 * 2**24))
    turned = npy_claim((7, 4096, 4096)).replace(b"False", b"True ")
    halves = samples.zipped(npy_claim((15, 4096, 4096), "<f2") + bytes(15 * 2**25))
    flags = samples.zipped(npy_claim((31, 4096, 4096), "|b1") + bytes(31 * 2**24))
    objects = samples.npy(np.array([_Payload(marker)], object))
    return {
        "npy, a billion rows": ("npy", rows),
        "npz, a billion rows": ("npz", samples.zipped(rows)),
        "npy, negative rows": ("npy", npy_claim((-1, 4, 4))),
        "npy, rows of nothing": ("npy", npy_claim((2**62, 4, 4), "|V0")),
        "npy, header of 4 GiB": ("npy", b"\x93NUMPY\x02\x00\xff\xff\xff\xff{}"),
        "npy, deep header": ("npy", b"\x93NUMPY\x01\x00\x10\x27" + b"(" * 10_000),
        "npz bomb": ("npz", bomb),
        "mask bomb": ("seg.npz", bomb),
        "npz that grows to 496 MiB": ("npz", large),
        "npz, turned": ("npz", samples.zipped(turned + bytes(7 * 2**24))),
        "masks that grow to 480 MiB": ("seg.npz", halves),
        "flags that grow to 496 MiB": ("seg.npz", flags),
        "npz, size in its list": ("npz", _listed_size(samples.zipped(b"x" * 100), 2**31 - 1)),
        "npz, packed otherwise": (
            "npz",
            samples.zipped(samples.npy(FRAMES), method=zipfile.ZIP_LZMA),
        ),
        "npz, name that climbs": ("npz", samples.zipped(samples.npy(FRAMES), "../../x.npy")),
        "npy of objects": ("npy", objects),
        "npz of objects": ("npz", samples.zipped(objects)),
        "pickle as npy": ("npy", pickle.dumps(_Payload(marker))),
        "pickle as npz": ("npz", pickle.dumps(_Payload(marker))),
        "pickle as shown clip": ("shown.npz", samples.zipped(objects, "name.npy")),
    }


def _listed_size(archive, size):
    at = archive.index(b"PK\x01\x02") + 24
    return archive[:at] + struct.pack("<I", size) + archive[at + 4 :]


def _weights(marker):
    header = json.dumps({"a": {"dtype": "F32", "shape": [2**40], "data_offsets": [0, 2**42]}})
    found = {
        "safetensors, terabytes": (
            "safetensors",
            struct.pack("<Q", len(header)) + header.encode(),
        ),
        "safetensors, header of 32 TiB": ("safetensors", struct.pack("<Q", 2**45) + b"{}"),
        "safetensors, names inside names": (
            "safetensors",
            safetensors.numpy.save({"a": np.ones(1), "a/b": np.ones(1)}),
        ),
        "state dict, a billion blocks": ("student.safetensors", _renamed("blocks.0", "blocks.999")),
        "judge, a billion layers": ("judge.safetensors", _judge(10**9)),
        "judge, no heads": ("judge.safetensors", _judge(0)),
    }
    for text in _MODELS:
        found[f"network {text}"] = (
            "network.safetensors",
            safetensors.numpy.save({"params/a": np.ones(1, np.float32)}, {"model": text}),
        )
    if "pytorch" in samples.SAMPLES:
        found |= _pytorch(marker)
    return found


_MODELS = (
    '{"name": "convlstm", "blocks": 1000000, "layers": 1}',
    '{"name": "convlstm", "blocks": 1, "layers": 1, "filters": 1000000000}',
    '{"name": "convlstm", "blocks": -1, "layers": "x"}',
    '{"name": "convlstm", "blocks": 1, "layers": 1, "subsampling": 0}',
    '{"name": "convlstm", "blocks": 1, "layers": 1, "filters": 0, "dtype": "int3"}',
    '["convlstm"]',
    "[" * 100_000,
)


def _renamed(before, after):
    arrays = samples.student_arrays()
    return safetensors.numpy.save({k.replace(before, after): v for k, v in arrays.items()})


def _judge(last):
    one = np.ones((1, 1), np.float32)
    names = ("stem.0.weight", f"stages.{last}.blocks.{last}.norm.weight")
    arrays = {f"visual.trunk.{name}": one for name in names}
    others = ("ln_final.weight", "text_projection", "positional_embedding")
    arrays |= dict.fromkeys((*others, "token_embedding.weight"), one)
    arrays[f"transformer.resblocks.{last}.ln_1.weight"] = one
    return safetensors.numpy.save(arrays)


def _pytorch(marker):
    import torch

    def saved(value):
        buffer = io.BytesIO()
        torch.save(value, buffer)
        return buffer.getvalue()

    whole = samples.get("pytorch").content
    with zipfile.ZipFile(io.BytesIO(whole)) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    deflated = io.BytesIO()
    with zipfile.ZipFile(deflated, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, member in members.items():
            archive.writestr(name, member + bytes(2**26) if name.endswith("/0") else member)
    _, pack = samples.checkpoint_pickle()
    view = torch.zeros(1).expand(2**20, 2**14)
    size = (2**20, 2**20)
    sparse = torch.sparse_coo_tensor([[0], [0]], [1.0], size, check_invariants=True)
    return {
        "a pickle that runs a command": ("ckpt", pickle.dumps(_Payload(marker))),
        "the same in PyTorch's file": ("ckpt", pack(pickle.dumps(_Payload(marker), 2))),
        "a checkpoint that runs a command": ("ckpt", saved({"state_dict": _Payload(marker)})),
        "a view of 64 GiB": ("ckpt", saved({"a": view})),
        "sparse of terabytes": (
            "ckpt",
            saved({"a": sparse}),
        ),
        "compressed entries": ("ckpt", deflated.getvalue()),
    }


def _texts():
    deep = b"[" * 100_000
    names = ("metrics.json", "config.json", "metadata.json", "metrics.jsonl")
    found = {f"deep {name}": (name, deep) for name in names}
    found |= {f"{name} of another kind": (name, b"[1, 2]") for name in names}
    found |= {f"{name} of no text": (name, b"\xff\xfe\x00") for name in names}
    for text in ("..", ".", "/", "../../x", "a" * 5000, "a\u202e", "a\tb"):
        row = f"FileName,Split\n{text},TRAIN\n".encode()
        found[f"file list, clip {text[:20]!r}"] = ("filelist.csv", row)
    found["file list, one line of 1 MB"] = ("filelist.csv", b'FileName,Split\n"' + b"a" * 2**20)
    found["tracing, frame 1e300"] = (
        "tracings.csv",
        b"FileName,X1,Y1,X2,Y2,Frame\na,1,2,3,4,1e300\n",
    )
    for argument in (
        "--stage=a\rb",
        "--config=" + "a" * 5000,
        "--config.train.batch_size=" + "9" * 5000,
        "--config.model.nothing=" + "(" * 100_000,
        "--config.train.batch_size.x.y=1",
        "--config.=1",
        "--config.train.batch_size=nan",
        "--=",
        "--config.__class__=1",
        "--config.get=1",
    ):
        found[f"override {argument[:40]!r}"] = ("overrides", argument.encode())
    return found
