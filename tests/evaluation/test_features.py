import pathlib

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from echodfkd_jax.errors import UserError
from echodfkd_jax.evaluation import feature_distances, features
from echodfkd_jax.interop import onnx_session
from echodfkd_jax.synthesis import make_clip


def noise(seed, *shape):
    return np.random.default_rng(seed).integers(0, 256, shape).astype(np.uint8)


@pytest.fixture(scope="module")
def own():
    return features.open_extractor()


def test_own_features_do_not_depend_on_the_batch(own):
    clips = noise(0, 3, 4, 112, 112)
    together = own(clips)
    assert together.shape == (3, 256) and together.dtype == np.float32
    np.testing.assert_allclose(own(clips[1:2]), together[1:2], rtol=1e-5)
    assert own.fingerprint.startswith("unet-encoder-")


def test_a_still_differs_from_a_moving_clip_in_its_second_half(own):
    frames = noise(1, 1, 4, 112, 112)
    still = own(np.repeat(frames[:, :1], 4, axis=1))
    assert np.abs(own(frames)[:, 128:]).max() > 10 * np.abs(still[:, 128:]).max()
    assert np.abs(own(frames[:, :1])[:, 128:]).max() == 0


def test_no_clips_have_no_features(own):
    assert own(noise(0, 0, 4, 112, 112)).shape == (0, 256)


@pytest.mark.slow
def test_own_features_tell_hearts_from_noise(own):
    make = jax.jit(jax.vmap(lambda key: make_clip(key, num_frames=4).frames))
    hearts = np.asarray(make(jax.random.split(jax.random.key(0), 16)))
    first, second = own(hearts[:8]), own(hearts[8:])
    blurred = own(noise(0, 8, 4, 112, 112))
    near = feature_distances.frechet(first, second).distance
    assert feature_distances.frechet(first, blurred).distance > 4 * near


@pytest.fixture
def onnx_file(tmp_path):
    """Writes a network that gives mean and maximum of every picture or clip by channel."""
    onnx = pytest.importorskip("onnx")
    pytest.importorskip("onnxruntime")
    helper = onnx.helper

    def make(shape, *, keepdims=0, **metadata):
        kind = onnx.TensorProto.FLOAT
        axes = list(range(2, len(shape)))
        nodes = [
            helper.make_node("ReduceMean", ["x", "axes"], ["mean"], keepdims=keepdims),
            helper.make_node("ReduceMax", ["x", "axes"], ["max"], keepdims=keepdims),
            helper.make_node("Concat", ["mean", "max"], ["y"], axis=1),
        ]
        graph = helper.make_graph(
            nodes,
            "moments",
            [helper.make_tensor_value_info("x", kind, shape)],
            [helper.make_tensor_value_info("y", kind, None)],
            [helper.make_tensor("axes", onnx.TensorProto.INT64, [len(axes)], axes)],
        )
        opset = [helper.make_opsetid("", 18)]
        model = helper.make_model(graph, opset_imports=opset, ir_version=9)
        helper.set_model_props(model, metadata)
        path = tmp_path / "network.onnx"
        onnx.save(model, path)
        return str(path)

    return make


@pytest.mark.parametrize("keepdims", [0, 1])
@pytest.mark.parametrize("batch", ["n", 2])
def test_a_picture_network_from_a_file(onnx_file, batch, keepdims):
    path = onnx_file([batch, 3, "h", "w"], keepdims=keepdims, mean="1,2,3", std="2")
    pictures = noise(0, 5, 1, 6, 8)
    found = features.open_extractor(path)(pictures)
    mean, largest = pictures.mean(axis=(1, 2, 3)), pictures.max(axis=(1, 2, 3))
    wanted = [(value - c) / 2 for value in (mean, largest) for c in (1, 2, 3)]
    np.testing.assert_allclose(found, np.stack(wanted, 1), rtol=1e-5)


def test_a_clip_network_from_a_file(onnx_file):
    clips = noise(0, 3, 4, 6, 8)
    found = features.open_extractor(onnx_file(["n", 1, "t", "h", "w"]))(clips)
    np.testing.assert_allclose(found[:, 0], clips.mean(axis=(1, 2, 3)), rtol=1e-5)


def test_files_that_do_not_fit(onnx_file, tmp_path):
    with pytest.raises(UserError, match=r"takes pictures, but clips have 2 frames"):
        features.open_extractor(onnx_file(["n", 1, "h", "w"]))(noise(0, 1, 2, 6, 8))
    with pytest.raises(UserError, match=r"axis 3 of its input is 4, but clips of 1x6x8"):
        features.open_extractor(onnx_file(["n", 1, "t", 4, "w"]))(noise(0, 1, 1, 6, 8))
    with pytest.raises(UserError, match=r"inputs .*; expected one of float32"):
        features.open_extractor(onnx_file(["n", 2, "h", "w"]))
    with pytest.raises(UserError, match=r"gone\.onnx' is no file"):
        features.open_extractor(str(tmp_path / "gone.onnx"))
    with pytest.raises(UserError, match="is unknown; use one of own"):
        features.open_extractor("inception")


def stablehlo_file(tmp_path, function, *shape):
    exported = jax.export.export(jax.jit(function))(jax.ShapeDtypeStruct(shape, jnp.uint8))
    path = tmp_path / "network.stablehlo"
    path.write_bytes(bytes(exported.serialize()))
    return str(path)


def test_a_program_from_a_file(tmp_path):
    def means(clips):
        return jnp.mean(clips.astype(jnp.float32), axis=(2, 3))

    path = stablehlo_file(tmp_path, means, 2, 4, 6, 8)
    clips = noise(0, 2, 4, 6, 8)
    found = features.open_extractor(path)(clips)
    np.testing.assert_allclose(found, clips.mean(axis=(2, 3)), rtol=1e-5)
    with pytest.raises(UserError, match=r"not clips of shape \(3, 4, 6, 8\)"):
        features.open_extractor(path)(noise(0, 3, 4, 6, 8))


def test_programs_that_cannot_be_used(tmp_path):
    path = tmp_path / "broken.stablehlo"
    path.write_bytes(b"nothing")
    with pytest.raises(UserError, match=r"broken\.stablehlo: damaged, or no StableHLO program"):
        features.open_extractor(str(path))
    flat = stablehlo_file(tmp_path, lambda x: x, 5)
    with pytest.raises(UserError, match=r"expected one of uint8, pictures"):
        features.open_extractor(flat)
    scalar = stablehlo_file(tmp_path, lambda x: jnp.sum(x), 2, 4, 6, 8)
    with pytest.raises(UserError, match=r"gave shape \(\) for 2 clips"):
        features.open_extractor(scalar)(noise(0, 2, 4, 6, 8))


def test_numbers_of_the_metadata():
    found = onnx_session.numbers(pathlib.Path("f.onnx"), {"mean": "1.5"}, "mean", "0", 3)
    np.testing.assert_array_equal(found, [1.5] * 3)
