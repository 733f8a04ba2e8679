import pathlib

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from echodfkd_jax.errors import UserError
from echodfkd_jax.interop.torch_checkpoint import read_state_dict
from echodfkd_jax.jobs import export
from echodfkd_jax.networks import predict_clip
from echodfkd_jax.networks.registry import build_model
from echodfkd_jax.networks.shipped import load_student
from tests import factories
from tests.clips import echonet_folder
from tests.jobs import made_up_run

# As docs/export.md makes it.
ONNX_PYTHON = pathlib.Path(__file__).parents[2] / ".venv-onnx" / "bin" / "python"
PUBLISHED = {"normalise": False, "skips": False, "burn_in_frames": 0}


@pytest.fixture
def config(tmp_path):
    """A run of random weights; the network is as published but for its size."""
    made = made_up_run.config(tmp_path / "run")
    made.model.update(PUBLISHED)
    made_up_run.save_run(made)
    return made


def export_as(config, kind, file=""):
    config.export.update(format=kind, file=str(file))
    export.run(config)


def test_safetensors_are_the_weights_of_the_run(config, tmp_path, capsys):
    export_as(config, "safetensors")
    file = tmp_path / "run" / "export" / "student.safetensors"
    student = load_student(file)
    assert (student.model.blocks, student.model.filters) == (1, 2)
    model = build_model(**config.model)
    expected = factories.random_weights(model, jnp.zeros((1, 1, 112, 112, 1)), seed=3)
    jax.tree.map(np.testing.assert_array_equal, dict(student.variables), expected)
    said = capsys.readouterr().out
    assert "step 3 of" in said and str(file) in said


def test_stablehlo_gives_the_masks(config, tmp_path):
    export_as(config, "stablehlo", tmp_path / "student.stablehlo")
    export_as(config, "safetensors", tmp_path / "student.safetensors")
    frames, _ = echonet_folder.beat(3)
    program = bytearray((tmp_path / "student.stablehlo").read_bytes())
    found = jax.export.deserialize(program).call(frames[None])[0]
    student = load_student(tmp_path / "student.safetensors")
    wanted = predict_clip(student, frames)[..., 0]
    np.testing.assert_allclose(255 * found, wanted, atol=0.51)


def test_a_state_dict_says_that_the_subsampling_is_lost(config, tmp_path, capsys):
    export_as(config, "pytorch", tmp_path / "student.safetensors")
    assert len(read_state_dict(tmp_path / "student.safetensors")) == 9
    assert "trained at subsampling 8" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("field", "value"), [("skips", True), ("normalise", True), ("burn_in_frames", 3)]
)
def test_what_the_published_network_has_not_is_no_state_dict(config, tmp_path, field, value):
    config.workdir = str(tmp_path / "other")
    config.model[field] = value
    made_up_run.save_run(config)
    with pytest.raises(UserError, match=rf"{field}={value}, which the published code has not"):
        export_as(config, "pytorch", tmp_path / "student.safetensors")


def test_another_network_is_no_state_dict(config, tmp_path):
    config.workdir = str(tmp_path / "other")
    config.model = {"name": "unet", "channels": (4, 8), "subsampling": 4}
    made_up_run.save_run(config)
    with pytest.raises(UserError, match="a network UNet, which the published code has not"):
        export_as(config, "pytorch", tmp_path / "student.safetensors")


def test_onnx_without_its_environment_says_how_to_make_it(config, tmp_path):
    config.export.onnx_python = str(tmp_path / "no" / "python")
    with pytest.raises(UserError, match=r"pip install -r requirements-onnx\.txt"):
        export_as(config, "onnx")


@pytest.mark.skipif(not ONNX_PYTHON.is_file(), reason=f"no environment at {ONNX_PYTHON}")
def test_onnx_is_made_by_the_other_python(config, tmp_path):
    config.export.onnx_python = str(ONNX_PYTHON)
    export_as(config, "onnx", tmp_path / "student.onnx")
    assert (tmp_path / "student.onnx").stat().st_size > 1000


def test_what_the_other_python_says_is_passed_on(config, tmp_path):
    failing = tmp_path / "python"
    failing.write_text(
        "#!/bin/sh\necho Traceback >&2\necho 'error: jax2onnx is missing' >&2\nexit 2\n"
    )
    failing.chmod(0o755)
    config.export.onnx_python = str(failing)
    with pytest.raises(UserError, match="python: jax2onnx is missing"):
        export_as(config, "onnx", tmp_path / "student.onnx")


@pytest.mark.parametrize(
    ("kind", "file", "said"),
    [
        ("onx", "", "config.export.format='onx': expected one of safetensors"),
        ("onnx", "student.pt", "student.pt: format 'onnx' is written as .onnx"),
        ("pytorch", "student.onnx", "format 'pytorch' is written as .ckpt or .pt"),
    ],
)
def test_settings_that_do_not_fit(config, kind, file, said):
    with pytest.raises(UserError) as error:
        export_as(config, kind, file)
    assert said in str(error.value)


def test_a_folder_that_cannot_be_written(config, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match=r"config\.export\.file="):
        export_as(config, "safetensors", tmp_path / "file" / "student.safetensors")
