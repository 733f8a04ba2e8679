"""The student that `predict`, `evaluate` and `export` work with."""

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
        step: of its training; None for a file's.
    """

    model: nn.Module
    variables: Mapping[str, Any]
    about: dict[str, str]
    step: int | None


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
        return of_run(workdir, checkpoint)
    return of_weights(weights or "best")


def of_run(workdir: str | pathlib.Path, checkpoint: str | int) -> LoadedStudent:
    """Loads the student of a run.

    Raises:
        UserError: there is no run, or no such checkpoint, or one of them is damaged.
    """
    model = build_model(**run_config.load(workdir).model)
    variables, progress = checkpoints.restore_variables(workdir, checkpoint)
    step = progress["step"]
    return _loaded(model, variables, f"step {step} of {workdir}", step)


def of_weights(weights: str) -> LoadedStudent:
    """Loads a shipped student by its name, or one from a safetensors file.

    Raises:
        UserError: the file is missing or damaged.
    """
    model, variables = load_student(weights)
    shipped = weights in SHIPPED_WEIGHTS
    return _loaded(
        model, variables, f"{weights}, shipped with the project" if shipped else weights, None
    )


def _loaded(
    model: nn.Module, variables: Mapping[str, Any], source: str, step: int | None
) -> LoadedStudent:
    about = {"source": source, "fingerprint": weights_fingerprint("student", variables)}
    return LoadedStudent(model, variables, about, step)
