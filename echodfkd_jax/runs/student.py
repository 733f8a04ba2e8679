"""The student that a run trained."""

import pathlib

from echodfkd_jax.networks.loaded import LoadedNetwork
from echodfkd_jax.networks.registry import build_model
from echodfkd_jax.networks.shipped import load_student
from echodfkd_jax.runs import checkpoints, run_config


def load_student_of(
    workdir: str | pathlib.Path, *, weights: str = "", checkpoint: str | int = "best"
) -> LoadedNetwork:
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
    return load_student(weights or "best")


def of_run(workdir: str | pathlib.Path, checkpoint: str | int) -> LoadedNetwork:
    """Loads the student of a run.

    Raises:
        UserError: there is no run, or no such checkpoint, or one of them is damaged.
    """
    model = build_model(**run_config.load(workdir).model)
    variables, progress = checkpoints.restore_variables(workdir, checkpoint)
    step = progress["step"]
    return LoadedNetwork(model, variables, f"step {step} of {workdir}", step)
