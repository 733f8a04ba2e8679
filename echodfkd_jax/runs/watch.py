"""What training and an evaluation that watches it tell each other: one locked file in the workdir.

Training deletes old checkpoints, and the evaluation may be slower than training. So as long as an
evaluation holds the lock, training keeps the checkpoints after the last one that is scored. The
kernel frees the lock of a process that dies. Where a file system knows no locks, as a bucket does
not, checkpoints may be deleted before they are scored; the evaluation then says which.
"""

import contextlib
import fcntl
import logging
import time
from collections.abc import Callable, Iterator
from typing import IO

from echodfkd_jax import files
from echodfkd_jax.errors import UserError

_log = logging.getLogger(__name__)
FILE = "watched.txt"
# Training looks for an instant whether the lock is free; that is waited for, another watcher not.
_PATIENCE_S = 2.0


@contextlib.contextmanager
def watching(workdir: files.PathLike) -> Iterator[Callable[[int], None]]:
    """Holds the lock of a run, which need not have begun.

    Gives `scored(step)`, which says that this step and those before it are no longer needed.

    Raises:
        UserError: another evaluation is watching the run.
    """
    path = files.path_of(workdir) / FILE
    if files.is_bucket(path):
        _log.warning(
            "%s: a bucket has no locks; checkpoints may be deleted before they are scored", workdir
        )
        yield lambda step: None
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch()
    with open(path, "r+") as file:  # noqa: PTH123, epath has no "r+".

        def scored(step: int) -> None:
            # In place: another file would not be locked.
            file.seek(0)
            file.write(f"{step}\n")
            file.truncate()
            file.flush()

        if not _lock(file, _PATIENCE_S):
            raise UserError(f"{workdir} is watched by another evaluation; let that one end first")
        scored(0)
        yield scored


def scored_step(workdir: files.PathLike) -> int | None:
    """Training's side: the last scored step, or None where no evaluation watches."""
    try:
        path = files.path_of(workdir) / FILE
        if files.is_bucket(path):
            return None
        with open(path, "r+") as file:  # noqa: PTH123, epath has no "r+".
            if _lock(file, 0.0):
                return None
            text = file.read().strip()
            return int(text) if text.isdigit() else 0
    except OSError:  # No such file, or nothing that can be locked.
        return None


def _lock(file: IO[str], patience_s: float) -> bool:
    """Takes the lock, as long as the file is open; False: another process has it."""
    until_s = time.monotonic() + patience_s
    while True:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return True
        except BlockingIOError:
            if time.monotonic() >= until_s:
                return False
            time.sleep(0.05)
        except OSError:
            return True  # A file system without locks.
