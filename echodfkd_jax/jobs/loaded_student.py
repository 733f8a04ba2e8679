"""The student that `predict` and `export` work with."""

import pathlib
from collections.abc import Mapping
from typing import Any, NamedTuple

import flax.linen as nn

from echodfkd_jax.distillation import checkpoints, run_config
from echodfkd_jax.distillation.models import build_model
from echodfkd_jax.student.shipped import SHIPPED_WEIGHTS, load_student
from echodfkd_jax.teachers.base import weights_fingerprint


class LoadedStudent(NamedTuple):
    """A network with its weights.

    Attributes:
        model: the network.
        variables: its weights.
        about: where they are from (`source`) and their `fingerprint`.
    """

    model: nn.Module
    variables: Mapping[str, Any]
    about: dict[str, str]


def load_student_of(
    workdir: str | pathlib.Path, *, weights: str = "", checkpoint: str | int = "best"
) -> LoadedStudent:
    """Loads, in this order, the one that is asked for, the run's, or the best that is shipped.

    Args:
        workdir: of a run; it need not exist.
        weights: a safetensors file of a student, or the name of a shipped one; empty: none.
        checkpoint: of the run: "best", "latest" or a step.

    Raises:
        UserError: the file, the checkpoint or the shipped weights are missing or damaged.
    """
    if not weights and checkpoints.all_steps(workdir):
        variables, progress = checkpoints.restore_variables(workdir, checkpoint)
        model = build_model(**run_config.load(workdir).model)
        source = f"step {progress['step']} of {workdir}"
    else:
        weights = weights or "best"
        model, variables = load_student(weights)
        source = f"{weights}, shipped with the project" if weights in SHIPPED_WEIGHTS else weights
    about = {"source": source, "fingerprint": weights_fingerprint("student", variables)}
    return LoadedStudent(model, variables, about)
