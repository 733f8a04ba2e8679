"""The students that come with the project, and others from files like theirs."""

from pathlib import Path
from typing import Any

from echodfkd_jax.errors import UserError
from echodfkd_jax.interop.network_file import Network, load_network
from echodfkd_jax.student.convlstm import ConvLSTMUNet

_WEIGHTS = Path(__file__).parent / "weights"
SHIPPED_WEIGHTS = {
    "best": _WEIGHTS / "student.safetensors",
    "small": _WEIGHTS / "student_small.safetensors",
}


def load_student(path: str | Path = "best") -> Network:
    """Loads a shipped student, or one from a safetensors file.

    Args:
        path: "best" or "small" of the shipped ones, or a file whose header has, under "model",
            JSON of {"name": "convlstm", fields...}.

    Raises:
        UserError: the file is missing, damaged, or holds another model.
    """
    path = SHIPPED_WEIGHTS.get(str(path), Path(path))
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
