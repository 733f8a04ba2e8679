"""Stage `export`: the run's student, or the shipped one, in formats that run elsewhere.

Writes into `config.export.output`: `student.safetensors` (weights), `student.stablehlo` (network
and weights, run with jax alone). ONNX is made from the safetensors file, see
`interop/onnx_export.py`.
"""

import pathlib

import ml_collections

from echodfkd_jax.distillation.models import describe_model
from echodfkd_jax.errors import UserError
from echodfkd_jax.interop.export import export_stablehlo
from echodfkd_jax.interop.safetensors import save_variables
from echodfkd_jax.jobs.loaded_student import load_student_of


def run(config: ml_collections.ConfigDict) -> None:
    """Exports one student.

    Raises:
        UserError: there is none, or the folder cannot be written.
    """
    output = pathlib.Path(config.export.output or pathlib.Path(config.workdir) / "export")
    student = load_student_of(
        config.workdir, weights=config.predict.weights, checkpoint=config.predict.checkpoint
    )
    print(f"student: {student.about['source']} ({student.about['fingerprint']})")
    metadata = {"model": describe_model(student.model), **student.about}
    weights, program = output / "student.safetensors", output / "student.stablehlo"
    try:
        save_variables(weights, student.variables, metadata)
        export_stablehlo(program, student.model, student.variables)
    except OSError as error:
        raise UserError(f"config.export.output={output}: {error.strerror or error}") from error
    print(f"  weights: {weights}")
    print(f"  StableHLO: {program}")
    print(f"  for ONNX: python -m echodfkd_jax.interop.onnx_export {weights} student.onnx")
