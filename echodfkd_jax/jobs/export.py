"""Stage `export`: the student of `predict` as a file, or a folder, that runs elsewhere.

| `config.export.format` | file | runs with |
|---|---|---|
| `safetensors` | `student.safetensors`, weights | this project (`config.student.weights`) |
| `stablehlo` | `student.stablehlo`, network and weights | jax |
| `onnx` | `student.onnx`, network and weights | onnxruntime |
| `pytorch` | `student.ckpt`, state dict; `.safetensors` without PyTorch | the published code |
| `hub` | a folder with weights, program, card and loader | a model hub; jax |
| `hub_dataset` | a folder with the configuration's data set | a hub of data |

The ONNX file is made by another environment's Python, `config.export.onnx_python`: jax2onnx holds
Orbax back at a version that training does not work with.
"""

import os
import pathlib
import subprocess
import tempfile

import ml_collections
from etils import epath

import echodfkd_jax
from echodfkd_jax import files
from echodfkd_jax.errors import DiskError, UserError
from echodfkd_jax.interop.export import export_stablehlo
from echodfkd_jax.interop.torch_checkpoint import write_state_dict
from echodfkd_jax.interop.torch_student import to_torch
from echodfkd_jax.jobs import export_hub
from echodfkd_jax.masks import LV_ALONE
from echodfkd_jax.networks import ConvLSTMUNet
from echodfkd_jax.networks.loaded import LoadedNetwork
from echodfkd_jax.networks.registry import describe_model
from echodfkd_jax.networks.safetensors import save_variables
from echodfkd_jax.runs.student import choose_student
from echodfkd_jax.settings import StudentSettings

# By format, the suffixes that its file may have; the first unless `config.export.file` says other.
SUFFIXES = {
    "safetensors": (".safetensors",),
    "stablehlo": (".stablehlo",),
    "onnx": (".onnx",),
    "pytorch": (".ckpt", ".pt", ".pth", ".safetensors"),
    "hub": ("",),
    "hub_dataset": ("",),
}
# What the published network has not, so that its weights alone say too little.
_UNPUBLISHED = {"structures": LV_ALONE, "normalise": False, "skips": False, "burn_in_frames": 0}


def run(config: ml_collections.ConfigDict) -> None:
    """Exports one student, or the data set of the configuration.

    Raises:
        UserError: there is none, a setting does not fit, the format cannot hold this network, what
            the format needs is not installed, or the file cannot be written.
    """
    file = _file(config)
    if config.export.format == "hub_dataset":
        export_hub.dataset(file, config)
        return
    student = choose_student(config.workdir, StudentSettings.of(config.student))
    try:
        if config.export.format == "safetensors":
            save_variables(file, student.variables, _metadata(student))
        elif config.export.format == "stablehlo":
            export_stablehlo(file, student.model, student.variables)
        elif config.export.format == "hub":
            export_hub.model(file, student, config)
        elif config.export.format == "onnx":
            _export_onnx(file, student, config.export.onnx_python)
        else:
            _export_pytorch(file, student)
    except DiskError as error:
        raise UserError(f"config.export.file={file}: {error}") from error
    print(f"student: {student.source} ({student.fingerprint})")
    print(f"  {config.export.format}: {file}")


def _file(config: ml_collections.ConfigDict) -> epath.Path:
    """The file to write.

    Raises:
        UserError: no such format, or the file's name is that of another.
    """
    kind = config.export.format
    if kind not in SUFFIXES:
        raise UserError(f"config.export.format={kind!r}: expected one of {', '.join(SUFFIXES)}")
    name = kind if kind.startswith("hub") else f"student{SUFFIXES[kind][0]}"
    default = files.path_of(config.workdir) / "export" / name
    file = files.path_of(config.export.file or default)
    if not kind.startswith("hub") and file.suffix not in SUFFIXES[kind]:
        suffixes = " or ".join(SUFFIXES[kind])
        raise UserError(f"config.export.file={file}: format {kind!r} is written as {suffixes}")
    return file


def _metadata(student: LoadedNetwork) -> dict[str, str]:
    return {"model": describe_model(student.model), **student.metadata}


def _export_onnx(file: epath.Path, student: LoadedNetwork, python: str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        weights = pathlib.Path(folder) / "student.safetensors"
        save_variables(weights, student.variables, _metadata(student))
        made = pathlib.Path(folder) / "student.onnx"
        command = [python, "-m", "echodfkd_jax.interop.onnx_export", str(weights), str(made)]
        # Nothing of this environment but the package itself.
        package = pathlib.Path(echodfkd_jax.__file__).resolve().parent
        (pathlib.Path(folder) / package.name).symlink_to(package)
        here = os.environ | {"PYTHONPATH": folder}
        try:
            done = subprocess.run(command, env=here, capture_output=True, text=True)
        except OSError as error:
            raise UserError(
                f"config.export.onnx_python={python}: {error.strerror}; make that environment with "
                "`python -m venv .venv-onnx && .venv-onnx/bin/pip install -r requirements-onnx.txt`"
            ) from error
        if done.returncode:
            said = done.stderr.strip().splitlines() or [f"exit status {done.returncode}"]
            raise UserError(
                f"config.export.onnx_python={python}: {said[-1].removeprefix('error: ')}"
            )
        files.write_bytes(file, made.read_bytes())


def _export_pytorch(file: epath.Path, student: LoadedNetwork) -> None:
    model = student.model
    if not isinstance(model, ConvLSTMUNet):
        raise UserError(
            f"{student.source}: a network {type(model).__name__}, which the published "
            "code has not; set config.export.format=safetensors"
        )
    for field, published in _UNPUBLISHED.items():
        if getattr(model, field) != published:
            section = "" if field == "structures" else "model."
            raise UserError(
                f"{student.source}: a student with {field}={getattr(model, field)}, which "
                f"the published code has not; train one with config.{section}{field}={published}, "
                "or set another config.export.format"
            )
    write_state_dict(file, to_torch(student.variables, blocks=model.blocks, layers=model.layers))
    if model.subsampling != 1:
        print(
            f"note: this student was trained at subsampling {model.subsampling}; the published "
            "code runs at subsampling 1, with the same weights and other masks"
        )
