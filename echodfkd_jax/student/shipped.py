"""The student that comes with the project, and others from files like its own."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from echodfkd_jax.errors import UserError
from echodfkd_jax.interop.safetensors import check_tree, load_variables
from echodfkd_jax.student.convlstm import ConvLSTMUNet

SHIPPED_WEIGHTS = Path(__file__).parent / "weights" / "student.safetensors"


class Student(NamedTuple):
    """A network with its weights.

    Attributes:
        model: the network.
        variables: its collections `params` and `batch_stats`.
    """

    model: ConvLSTMUNet
    variables: Mapping[str, Any]


def load_student(path: str | Path = "") -> Student:
    """Loads a student from a safetensors file.

    Args:
        path: a file whose header has, under "model", JSON of {"name": "convlstm", fields...};
            empty for the shipped one.

    Raises:
        UserError: the file is missing, damaged, or holds another model.
    """
    path = Path(path) if path else SHIPPED_WEIGHTS
    if not path.is_file():
        raise UserError(
            f"{path}: the student's weights are missing; train one with "
            "`python main.py --config=configs/synthetic.py`"
        )
    variables, metadata = load_variables(path)
    try:
        fields = json.loads(metadata["model"])
        name = fields.pop("name")
        if name != "convlstm":
            raise ValueError(f"the model is {name!r}, not 'convlstm'")
        model = ConvLSTMUNet(**fields)
    except (KeyError, ValueError, TypeError, AttributeError) as error:
        raise UserError(
            f"{path}: the header does not describe a student ({error}); expected a file written "
            "by --stage=export"
        ) from error
    side = model.stride * 2 ** (model.blocks - 1)
    video = jax.ShapeDtypeStruct((1, 1, side, side, 1), jnp.float32)
    check_tree(path, variables, jax.eval_shape(model.init, jax.random.key(0), video))
    return Student(model, variables)
