import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from echodfkd_jax.errors import UserError
from echodfkd_jax.teachers import load_teacher
from echodfkd_jax.teachers.base import Teacher

# Three frames of 1x2 pixels.
FRAMES = np.array([[[0, 51]], [[102, 153]], [[204, 255]]], np.uint8)
PROBABILITIES = np.array([[[0, 0.2]], [[0.4, 0.6]], [[0.8, 1.0]]], np.float32)


@pytest.fixture
def make_file(tmp_path):
    """Writes a network that multiplies with `factor`; three channels are averaged first."""
    onnx = pytest.importorskip("onnx")
    pytest.importorskip("onnxruntime")
    helper = onnx.helper

    def make(shape, *, factor=1 / 255, **metadata: str) -> str:
        kind = onnx.TensorProto.FLOAT
        open_shape = ["n", *shape[1:]] if shape[0] is None else list(shape)
        channel_axis = 1 if shape[1] in (1, 3) else 3
        nodes = [
            helper.make_node("ReduceMean", ["x", "axis"], ["grey"], keepdims=1),
            helper.make_node("Mul", ["grey", "factor"], ["y"]),
        ]
        out_shape = list(open_shape)
        out_shape[channel_axis] = 1
        graph = helper.make_graph(
            nodes,
            "scale",
            [helper.make_tensor_value_info("x", kind, open_shape)],
            [helper.make_tensor_value_info("y", kind, out_shape)],
            [
                helper.make_tensor("axis", onnx.TensorProto.INT64, [1], [channel_axis]),
                helper.make_tensor("factor", kind, [], [factor]),
            ],
        )
        opset = [helper.make_opsetid("", 18)]
        model = helper.make_model(graph, opset_imports=opset, ir_version=9)
        helper.set_model_props(model, metadata)
        onnx.checker.check_model(model)
        path = tmp_path / "network.onnx"
        onnx.save(model, path)
        return str(path)

    return make


@pytest.mark.parametrize(
    "shape",
    [(None, 1, "h", "w"), (None, 3, "h", "w"), (None, "h", "w", 1), (2, 1, 1, 2)],
    ids=["n1hw", "n3hw", "nhw1", "fixed batch"],
)
def test_every_layout_gives_probabilities(make_file, shape):
    teacher = load_teacher("onnx", weights=make_file(shape, output="probability"))
    assert isinstance(teacher, Teacher)
    np.testing.assert_allclose(teacher(FRAMES)[..., 0], PROBABILITIES, atol=1e-6)


def test_logits_go_through_a_sigmoid(make_file):
    path = make_file((None, 1, "h", "w"), factor=1 / 51)
    teacher = load_teacher("onnx", weights=path, output="logits")
    expected = [0.5, 0.7310586, 0.8807971, 0.9525741, 0.9820138, 0.9933071]
    np.testing.assert_allclose(np.ravel(teacher(FRAMES)), expected, rtol=1e-5)


def test_metadata_normalises(make_file):
    path = make_file(
        (None, 3, "h", "w"), factor=1.0, output="probability", mean="0", std="51,102,51"
    )
    # The mean over channels of frame / std: 51 -> (1 + 0.5 + 1) / 3.
    with pytest.raises(UserError, match=r"gave values from 0\.0 to .* as probabilities"):
        load_teacher("onnx", weights=path)(FRAMES)
    result = load_teacher("onnx", weights=path)(FRAMES[:1])
    np.testing.assert_allclose(result[..., 0], [[[0, 2.5 / 3]]], rtol=1e-6)


def test_apply_fn_runs_inside_jit_with_any_number_of_frames(make_file):
    path = make_file((2, 1, "h", "w"), output="probability")
    teacher = load_teacher("onnx", weights=path)
    compiled = jax.jit(teacher.apply_fn)(jnp.asarray(FRAMES, jnp.float32))
    np.testing.assert_allclose(compiled[..., 0], PROBABILITIES, atol=1e-6)


def test_fingerprint_follows_file_and_output(make_file):
    path = make_file((None, 1, "h", "w"), factor=0.5)
    first = load_teacher("onnx", weights=path, output="logits").fingerprint
    assert load_teacher("onnx", weights=path, output="logits").fingerprint == first
    assert load_teacher("onnx", weights=path, output="probability").fingerprint != first
    make_file((None, 1, "h", "w"), factor=0.25)
    assert load_teacher("onnx", weights=path, output="logits").fingerprint != first


def test_kind_of_output_must_be_said(make_file):
    with pytest.raises(UserError, match=r"network\.onnx: output=''; set config\.teacher\.output"):
        load_teacher("onnx", weights=make_file((None, 1, "h", "w")))


def test_frames_of_another_size_are_refused(make_file):
    teacher = load_teacher("onnx", weights=make_file((None, 1, 1, 4), output="logits"))
    with pytest.raises(UserError, match=r"axis 3 of its input is 4, but frames of 1x2 pixels"):
        teacher(FRAMES)


def test_unclear_layout_is_refused(make_file):
    path = make_file((None, "a", "b", "c"), output="logits")
    with pytest.raises(UserError, match=r"network\.onnx: inputs .*; expected one of float32"):
        load_teacher("onnx", weights=path)


def test_unreadable_metadata_is_refused(make_file):
    path = make_file((None, 1, "h", "w"), output="logits", std="a lot")
    with pytest.raises(UserError, match="metadata entry std='a lot'; expected one number"):
        load_teacher("onnx", weights=path)


def test_damaged_file_is_named(tmp_path):
    pytest.importorskip("onnxruntime")
    (tmp_path / "a.onnx").write_bytes(b"no network")
    with pytest.raises(UserError, match=r"a\.onnx: damaged, or no ONNX file"):
        load_teacher("onnx", weights=str(tmp_path / "a.onnx"))


def test_onnxruntime_is_asked_for_when_it_is_not_there(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    (tmp_path / "a.onnx").write_bytes(b"")
    with pytest.raises(UserError, match="needs onnxruntime; `pip install onnxruntime`"):
        load_teacher("onnx", weights=str(tmp_path / "a.onnx"))


def test_file_must_exist():
    with pytest.raises(UserError, match=r"config\.teacher\.weights='' is no file"):
        load_teacher("onnx")
