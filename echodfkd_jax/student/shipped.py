"""The student that comes with the project, and others from files like its own."""

from pathlib import Path
from typing import Any

from echodfkd_jax.errors import UserError
from echodfkd_jax.interop.network_file import Network, load_network
from echodfkd_jax.student.convlstm import ConvLSTMUNet

SHIPPED_WEIGHTS = Path(__file__).parent / "weights" / "student.safetensors"


def load_student(path: str | Path = "") -> Network:
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
    return load_network(path, _build_student)


def _build_student(name: str, **fields: Any) -> ConvLSTMUNet:
    if name != "convlstm":
        raise ValueError(f"the model is {name!r}, not the student's 'convlstm'")
    return ConvLSTMUNet(**fields)
