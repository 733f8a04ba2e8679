r"""`--stage=export_student`: a run's student as one file, for PyTorch or for this project.

    python main.py --config=configs/synthetic.py --stage=export_student \
        --config.exchange.file=student.ckpt

With `config.exchange.layout="pytorch"` the file holds the state dict of the published code (`.ckpt`
or `.pt`, for which PyTorch is needed, or `.safetensors`); with "flax" it is a `.safetensors` file
that `config.teacher = {"name": "student", "weights": FILE}` takes.
"""

import json
import pathlib

import ml_collections

from echodfkd_jax.distillation import checkpoints, run_config
from echodfkd_jax.distillation.models import build_model, describe_model
from echodfkd_jax.errors import UserError
from echodfkd_jax.interop.safetensors import save_variables
from echodfkd_jax.interop.torch_checkpoint import write_state_dict
from echodfkd_jax.interop.torch_student import to_torch


def run(config: ml_collections.ConfigDict) -> None:
    """Writes the checkpoint `config.eval.checkpoint` of `config.workdir` to `config.exchange.file`.

    Raises:
        UserError: there is no such run or checkpoint, no file is named, or the network has no
            counterpart in the published code.
    """
    file, layout = config.exchange.file, config.exchange.layout
    if not file:
        raise UserError("config.exchange.file is empty; name the file to write")
    if layout not in ("pytorch", "flax"):
        raise UserError(f"config.exchange.layout={layout!r}: expected 'pytorch' or 'flax'")
    model = run_config.load(config.workdir).model
    variables, progress = checkpoints.restore_variables(config.workdir, config.eval.checkpoint)
    if layout == "flax":
        if pathlib.Path(file).suffix != ".safetensors":
            raise UserError(
                f"config.exchange.file={file}: layout 'flax' is written as .safetensors"
            )
        metadata = {"model": describe_model(build_model(**model))}
        metadata["progress"] = json.dumps(progress)
        save_variables(file, variables, metadata)
    else:
        if model.name != "convlstm":
            raise UserError(
                f"{config.workdir} has a network {model.name!r}, which the published code has not; "
                "set config.exchange.layout='flax'"
            )
        write_state_dict(file, to_torch(variables, blocks=model.blocks, layers=model.layers))
        if model.stride != 1:
            print(
                f"note: this student was trained at stride {model.stride}; the published code runs "
                "at stride 1, with the same weights and other masks"
            )
    print(f"exported step {progress['step']} of {config.workdir}: {file}")
