import json
import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from echodfkd_jax.interop.export import export_stablehlo
from echodfkd_jax.interop.onnx_export import export_onnx, main
from echodfkd_jax.networks import ConvLSTMUNet, predict_clip
from echodfkd_jax.networks.loaded import LoadedNetwork
from echodfkd_jax.networks.safetensors import save_variables
from echodfkd_jax.networks.shipped import load_student
from echodfkd_jax.synthesis import make_clip
from tests import factories


@pytest.fixture(scope="module")
def student():
    model = ConvLSTMUNet(2, 1, 3, subsampling=2, skips=True, burn_in_frames=3)
    variables = factories.random_weights(model, jnp.zeros((1, 1, 16, 16, 1)))
    return LoadedNetwork(model, variables)


def probabilities(network, frames):
    video = jnp.asarray(frames, jnp.float32)[..., None]
    return np.asarray(
        jax.jit(lambda v: jax.nn.sigmoid(network.model.apply(network.variables, v)[..., 0]))(video)
    )


def clips(batch, frames):
    shape = (batch, frames, 16, 16)
    return np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)


def test_stablehlo_is_exact_for_any_number_of_clips_and_frames(student, tmp_path):
    path = tmp_path / "s.stablehlo"
    export_stablehlo(path, student.model, student.variables, height=16, width=16)
    for frames in (clips(1, 3), clips(2, 7)):
        found = jax.export.deserialize(bytearray(path.read_bytes())).call(frames)
        np.testing.assert_array_equal(found, probabilities(student, frames))


def test_onnx_gives_the_same_masks_for_any_number_of_frames(student, tmp_path):
    pytest.importorskip("jax2onnx")
    onnxruntime = pytest.importorskip("onnxruntime")
    export_onnx(tmp_path / "s.onnx", student.model, student.variables, height=16, width=16)
    session = onnxruntime.InferenceSession(str(tmp_path / "s.onnx"))
    for frames in (clips(1, 3), clips(1, 7)):
        inputs = {session.get_inputs()[0].name: frames.astype(np.float32)}
        (found,) = session.run(None, inputs)
        np.testing.assert_allclose(found, probabilities(student, frames), atol=1e-5)


def test_onnx_without_jax2onnx_says_what_to_install(student, tmp_path, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "jax2onnx", None)
    fields = {"name": "convlstm", "blocks": 2, "layers": 1, "filters": 3, "subsampling": 2}
    save_variables(tmp_path / "s.safetensors", student.variables, {"model": json.dumps(fields)})
    status = main(["onnx_export", str(tmp_path / "s.safetensors"), str(tmp_path / "s.onnx")])
    assert status == 2
    assert "requirements-onnx.txt" in capsys.readouterr().err


# Runs a file with onnxruntime and numpy, and would fail if it needed anything of JAX or of ours.
RUN_ONNX = """
import sys
for name in ("jax", "jaxlib", "flax", "echodfkd_jax"):
    sys.modules[name] = None
import numpy, onnxruntime
path, clips, found = sys.argv[1:]
session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
(name,) = (given.name for given in session.get_inputs())
frames = numpy.load(clips).astype(numpy.float32)
numpy.save(found, numpy.stack([session.run(None, {name: clip[None]})[0][0] for clip in frames]))
"""


@pytest.mark.slow
def test_onnx_masks_of_ten_clips_are_those_of_the_shipped_student(tmp_path):
    pytest.importorskip("jax2onnx")
    pytest.importorskip("onnxruntime")
    student = load_student()
    export_onnx(tmp_path / "s.onnx", student.model, student.variables)
    make = jax.jit(lambda key: make_clip(key, num_frames=32).frames)
    frames = np.stack([make(key) for key in jax.random.split(jax.random.key(10), 10)])
    np.save(tmp_path / "clips.npy", frames)
    (tmp_path / "run.py").write_text(RUN_ONNX)
    files = [str(tmp_path / name) for name in ("run.py", "s.onnx", "clips.npy", "found.npy")]
    subprocess.run([sys.executable, *files], check=True)
    found = np.load(tmp_path / "found.npy") > 0.5
    wanted = np.stack([predict_clip(student, clip)[..., 0] for clip in frames]) > 127
    common = np.count_nonzero(found & wanted, axis=(1, 2, 3))
    both = np.count_nonzero(found, axis=(1, 2, 3)) + np.count_nonzero(wanted, axis=(1, 2, 3))
    assert both.min() > 10_000
    print("Dice of each clip:", 2 * common / both)
    assert (2 * common / both).min() >= 0.999
