"""The student that a command works with: one rule for all of them."""

from echodfkd_jax import files
from echodfkd_jax.networks import shipped
from echodfkd_jax.networks.loaded import LoadedNetwork
from echodfkd_jax.networks.registry import build_model
from echodfkd_jax.runs import checkpoints, run_config
from echodfkd_jax.settings import StudentSettings


def choose_student(workdir: files.PathLike, settings: StudentSettings) -> LoadedNetwork:
    """Loads, in this order, the weights that are named, the run's, or the best that are shipped.

    Args:
        workdir: of a run; it need not exist.
        settings: section `config.student`.

    Raises:
        UserError: the file, the checkpoint or the shipped weights are missing or damaged.
    """
    if settings.weights:
        return load_student(settings.weights)
    if has_run(workdir):
        return of_run(workdir, settings.checkpoint)
    return shipped.load_student()


def has_run(workdir: files.PathLike) -> bool:
    """Whether there is a run, finished or not."""
    return run_config.path(workdir).exists() or bool(checkpoints.all_steps(workdir))


def load_student(
    weights: files.PathLike = "best", *, checkpoint: str | int = "best"
) -> LoadedNetwork:
    """Loads a shipped student, one from a safetensors file, or that of a run.

    Args:
        weights: "best" or "small" of the shipped ones, a file, or the folder of a run.
        checkpoint: of a run: "best" (lowest validation loss), "latest" or a step.

    Raises:
        UserError: they are missing, damaged, or of another network.
    """
    if weights not in shipped.STUDENTS and files.path_of(weights).is_dir():
        return of_run(weights, checkpoint)
    return shipped.load_student(weights)


def of_run(workdir: files.PathLike, checkpoint: str | int = "best") -> LoadedNetwork:
    """Loads the student of a run.

    Raises:
        UserError: there is no run, or no such checkpoint, or one of them is damaged.
    """
    model = build_model(**run_config.network_fields(run_config.load(workdir)))
    variables, progress = checkpoints.restore_variables(workdir, checkpoint)
    step = progress["step"]
    return LoadedNetwork(model, variables, f"step {step} of {workdir}", step)
