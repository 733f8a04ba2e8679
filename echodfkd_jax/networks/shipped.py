"""The networks that come with the project, and students from files like theirs."""

import dataclasses
from pathlib import Path
from typing import Any

import flax.linen as nn

from echodfkd_jax import buckets, files
from echodfkd_jax.errors import UserError
from echodfkd_jax.networks.loaded import LoadedNetwork, load_network
from echodfkd_jax.networks.registry import build_model

_WEIGHTS = Path(__file__).parent / "weights"
STUDENTS = {
    "best": _WEIGHTS / "student.safetensors",
    "small": _WEIGHTS / "student_small.safetensors",
}
TEACHER = _WEIGHTS / "unet.safetensors"
# Judges outlines, see `networks.trust`.
TRUST = _WEIGHTS / "trust.safetensors"


def load_student(weights: files.PathLike = "best") -> LoadedNetwork:
    """Loads a shipped student, or one from a safetensors file.

    Args:
        weights: "best" or "small" of the shipped ones, or a file whose header has, under "model",
            JSON of {"name": "convlstm", fields...}.

    Raises:
        UserError: the file is missing, damaged, or holds another model.
    """
    path = STUDENTS.get(str(weights)) or buckets.local_copy(weights)
    if not path.is_file():
        raise UserError(
            f"{path}: the student's weights are missing; train one with "
            "`python main.py --config=configs/synthetic.py`"
        )
    loaded = load_network(path, _build_student)
    shipped = str(weights) in STUDENTS
    source = f"{weights}, shipped with the project" if shipped else str(weights)
    return dataclasses.replace(loaded, source=source)


def _build_student(name: str, **fields: Any) -> nn.Module:
    if name != "convlstm":
        raise ValueError(f"the model is {name!r}, not the student's 'convlstm'")
    return build_model(name, **fields)
