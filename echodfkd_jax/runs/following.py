"""Checkpoints of a run as its training saves them, for a process beside it."""

import time
from collections.abc import Iterator

from echodfkd_jax import files
from echodfkd_jax.errors import UserError
from echodfkd_jax.runs import checkpoints, run_config
from echodfkd_jax.runs.progress import Progress
from echodfkd_jax.settings import TrainSettings


def saved_steps(workdir: files.PathLike, poll_s: float) -> Iterator[int]:
    """Every checkpoint's step once, in order, until training has ended.

    Args:
        workdir: of the run, which need not have begun.
        poll_s: seconds between two looks.
    """
    given: set[int] = set()
    while True:
        # Asked before looking for steps, so that the last checkpoint is not missed.
        ended = has_ended(workdir)
        for step in (step for step in checkpoints.all_steps(workdir) if step not in given):
            given.add(step)
            yield step
        if ended:
            return
        time.sleep(poll_s)


def has_ended(workdir: files.PathLike) -> bool:
    """Whether the training of a run is done; False before it has begun."""
    if not checkpoints.all_steps(workdir) or not run_config.path(workdir).is_file():
        return False
    train = TrainSettings.of(run_config.load(workdir).train)
    try:
        _, progress = checkpoints.restore_variables(workdir, "latest")
    except UserError:  # Deleted between the two looks.
        return False
    reason = Progress(**progress).finished(num_epochs=train.num_epochs, patience=train.patience)
    return reason is not None
