"""Checkpoints: Orbax behind one small module, with a checksum of our own.

Orbax writes atomically, but a finished checkpoint that is damaged later still counts: one flipped
byte is restored as other numbers without an error, an emptied folder is the latest step. So the
sha256 of all numbers lies beside them, and a step that does not match it is passed over. The sha256
of every file, written when the save is complete, tells which file it is that was damaged.
"""

import contextlib
import dataclasses
import hashlib
import json
import logging
import pathlib
from collections.abc import Iterator, Sequence
from typing import Any

import jax
import numpy as np
import orbax.checkpoint as ocp
from flax import traverse_util
from orbax.checkpoint import checkpoint_managers

from echodfkd_jax import disk
from echodfkd_jax.errors import UserError
from echodfkd_jax.runs import watch
from echodfkd_jax.runs.progress import Progress

_log = logging.getLogger(__name__)
# In the folder of a step.
_SEAL = "files.sha256"
_DISK_FULL = ("No space left on device", "Disk quota exceeded", "File too large", "Read-only file")


class Checkpoints:
    """The checkpoints of one run while it trains.

    Of the saved steps the latest `keep_latest` and the best are kept, and those that a watching
    evaluation has still to score. Of several processes the first alone may use it.
    """

    def __init__(self, workdir: str | pathlib.Path, *, keep_latest: int) -> None:
        """Makes `<workdir>/checkpoints` where it does not exist."""
        self._directory = directory(workdir)
        self._policy = _KeepLatestAndBest(keep_latest, pathlib.Path(workdir))
        self._manager: ocp.CheckpointManager | None = None
        self._unsealed: int | None = None

    def restore_latest(self) -> tuple[dict[str, Any], Progress] | None:
        """The newest intact checkpoint, or None where there is none.

        Newer, damaged ones are named in a warning and moved to `<workdir>/checkpoints_damaged`,
        because a step that exists cannot be saved again.
        """
        for step in reversed(_steps(self._directory)):
            try:
                tree, progress = _read(self._directory, step)
            except _DamagedError as error:
                aside = _move_aside(self._directory / str(step))
                _log.warning("%s; moved to %s, going on from the one before", error, aside)
                continue
            self._policy.best_step = progress.best_step
            return tree, progress
        return None

    def save(self, tree: dict[str, Any], progress: Progress) -> None:
        """Saves in the background; waits for the save before it.

        Args:
            tree: nested dicts of numpy arrays, not changed afterwards.
            progress: names the step.

        Raises:
            RuntimeError: Orbax did not save, which it does for a step older than the newest.
            UserError: the disk is full or not writable.
        """
        self._policy.best_step = progress.best_step
        fields = dataclasses.asdict(progress)
        about = {"progress": fields, "sha256": _checksum(tree, fields)}
        with disk_errors(self._directory, OSError):
            self._finish()
            if self._manager is None:
                self._directory.mkdir(parents=True, exist_ok=True)
                self._manager = _open(self._directory, policy=self._policy)
            saved = self._manager.save(
                progress.step,
                args=ocp.args.Composite(
                    state=ocp.args.StandardSave(tree), about=ocp.args.JsonSave(about)
                ),
            )
        if not saved:
            raise RuntimeError(f"Orbax did not save step {progress.step} in {self._directory}")
        self._unsealed = progress.step

    def close(self) -> None:
        """Waits until everything is on disk.

        Raises:
            UserError: the last save failed because the disk is full or not writable.
        """
        with disk_errors(self._directory, OSError):
            try:
                self._finish()
            finally:
                manager, self._manager = self._manager, None
                if manager is not None:
                    manager.close()

    def _finish(self) -> None:
        """Waits for the save that is under way."""
        if self._manager is None:
            return
        step, self._unsealed = self._unsealed, None
        self._manager.wait_until_finished()
        if step is not None:
            _seal(self._directory / str(step))


@contextlib.contextmanager
def disk_errors(path: str | pathlib.Path, *others: type[Exception]) -> Iterator[None]:
    """Turns the errors of a disk that is full or read-only, and `others`, into one line.

    Raises:
        UserError: names the file, or where it is not known, `path`.
    """
    try:
        yield
    except UserError:
        raise
    except Exception as error:
        # By text: TensorStore's errors have no number.
        known = [text for text in _DISK_FULL if text in str(error)]
        if not known and not isinstance(error, others):
            raise
        reason = known[0] if known else getattr(error, "strerror", None) or error
        where = getattr(error, "filename", None) or path
        raise UserError(
            f"cannot write to {where}: {reason}; earlier checkpoints are untouched"
        ) from error


def directory(workdir: str | pathlib.Path) -> pathlib.Path:
    """Where a run's checkpoints are; absolute, as Orbax wants it."""
    return pathlib.Path(workdir).absolute() / "checkpoints"


def last_saved(workdir: str | pathlib.Path) -> str:
    """Where the last checkpoint is, as part of a message."""
    steps = all_steps(workdir)
    if not steps:
        return "no checkpoint was saved yet"
    return f"the last good checkpoint is {directory(workdir) / str(steps[-1])}"


def all_steps(workdir: str | pathlib.Path) -> list[int]:
    """The steps with a finished checkpoint, ascending; damaged ones are among them."""
    return _steps(directory(workdir))


def restore_variables(
    workdir: str | pathlib.Path, which: str | int = "best"
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Reads a network's weights; nothing but the checkpoint is needed, and nothing is changed.

    Args:
        workdir: of the run that saved them.
        which: "best" (lowest validation loss, the first one on ties), "latest", or a step, also as
            text. "best" and "latest" pass over damaged checkpoints with a warning.

    Returns:
        `{"params", "batch_stats"}` as nested dicts of numpy arrays, and what is known about them:
        the fields of `Progress` (`step`, `epoch`, `validation_loss`, ...).

    Raises:
        UserError: there is no such checkpoint, or it is damaged.
    """
    steps = all_steps(workdir)
    if not steps:
        raise UserError(f"{directory(workdir)} has no checkpoint; run --stage=train first")
    if which not in ("best", "latest"):
        if not str(which).isdigit() or int(which) not in steps:
            raise UserError(
                f"config.student.checkpoint={which!r}: expected 'best', 'latest' or one of the "
                f"steps {', '.join(map(str, steps))} in {directory(workdir)}"
            )
        try:
            return _variables(*_read(directory(workdir), int(which)))
        except _DamagedError as error:
            raise UserError(f"{error}; use another of {', '.join(map(str, steps))}") from error
    found: tuple[dict[str, Any], Progress] | None = None
    for step in reversed(steps):
        try:
            tree, progress = _read(directory(workdir), step)
        except _DamagedError as error:
            _log.warning("%s; passed over", error)
            continue
        if which == "latest":
            return _variables(tree, progress)
        if found is None or _loss(progress) <= _loss(found[1]):
            found = tree, progress
    if found is None:
        raise UserError(f"every checkpoint in {directory(workdir)} is damaged; train again")
    return _variables(*found)


class _DamagedError(Exception):
    """A finished checkpoint that is not what was saved."""


@dataclasses.dataclass
class _KeepLatestAndBest(checkpoint_managers.PreservationPolicy):
    latest: int
    workdir: pathlib.Path
    best_step: int = 0

    def should_preserve(self, checkpoints: Sequence[Any], *, context: Any) -> list[bool]:
        del context
        first_kept = len(checkpoints) - self.latest
        scored = watch.scored_step(self.workdir)
        return [
            i >= first_kept or c.step == self.best_step or (scored is not None and c.step > scored)
            for i, c in enumerate(checkpoints)
        ]


def _open(path: pathlib.Path, *, policy: Any = None) -> ocp.CheckpointManager:
    me = jax.process_index()
    options = ocp.CheckpointManagerOptions(
        create=False,
        preservation_policy=policy,
        # Orbax would wait for all processes of a run, and only one calls it.
        multiprocessing_options=ocp.options.MultiprocessingOptions(
            primary_host=me, active_processes={me}, barrier_sync_key_prefix=f"process_{me}"
        ),
    )
    return ocp.CheckpointManager(path, options=options)


def _steps(path: pathlib.Path) -> list[int]:
    if not path.is_dir():
        return []
    with _open(path) as manager:
        return sorted(manager.all_steps())


def _read(path: pathlib.Path, step: int) -> tuple[dict[str, Any], Progress]:
    folder = path / str(step)
    if not any(folder.iterdir()):
        raise _DamagedError(f"checkpoint {folder} is empty")
    _check_seal(folder)
    try:
        with _open(path) as manager:
            found = manager.restore(
                step,
                args=ocp.args.Composite(
                    state=ocp.args.StandardRestore(), about=ocp.args.JsonRestore()
                ),
            )
        about, tree = found["about"], found["state"]
        intact = about["sha256"] == _checksum(tree, about["progress"])
        progress = Progress(**about["progress"])
    except Exception as error:  # Damage shows in as many ways as there are bytes.
        reason = str(error).strip().splitlines() or [""]
        raise _DamagedError(
            f"checkpoint {folder} cannot be read ({type(error).__name__}: {reason[0][:200]})"
        ) from error
    if not intact:
        raise _DamagedError(f"checkpoint {folder} is damaged: its checksum does not match")
    return tree, progress


def _seal(folder: pathlib.Path) -> None:
    """Writes down the sha256 of every file of a finished checkpoint, as `sha256sum` does."""
    sums = _file_sums(folder)
    text = "".join(f"{digest}  {name}\n" for name, digest in sums.items())
    own = hashlib.sha256(text.encode()).hexdigest()
    disk.write_text(folder / _SEAL, f"{text}{own}  {_SEAL}\n")


def _check_seal(folder: pathlib.Path) -> None:
    """Names a file that is not what was saved; a kill may have left a checkpoint without seal."""
    seal = folder / _SEAL
    if not seal.is_file():
        return
    *lines, last = seal.read_text(errors="replace").splitlines(keepends=True) or [""]
    own = hashlib.sha256("".join(lines).encode()).hexdigest()
    if last != f"{own}  {_SEAL}\n":
        raise _DamagedError(f"checkpoint {folder} is damaged: {seal} was changed")
    sealed = dict(reversed(line.rstrip("\n").split("  ", 1)) for line in lines)
    found = _file_sums(folder)
    for name, digest in sealed.items():
        if found.get(name) != digest:
            what = "was changed" if name in found else "is missing"
            raise _DamagedError(f"checkpoint {folder} is damaged: {folder / name} {what}")


def _file_sums(folder: pathlib.Path) -> dict[str, str]:
    files = sorted(p for p in folder.rglob("*") if p.is_file() and not p.name.startswith(_SEAL))
    return {
        str(file.relative_to(folder)): hashlib.sha256(file.read_bytes()).hexdigest()
        for file in files
    }


def _checksum(tree: dict[str, Any], progress: dict[str, Any]) -> str:
    """sha256 over names, types, shapes and bytes of all arrays, and over the progress."""
    digest = hashlib.sha256(json.dumps(progress, sort_keys=True).encode())
    leaves = traverse_util.flatten_dict(tree, sep="/")
    for name in sorted(leaves):
        array = np.asarray(leaves[name])
        digest.update(f"{name} {array.dtype} {array.shape} ".encode())
        digest.update(array.tobytes())
    return digest.hexdigest()


def _move_aside(folder: pathlib.Path) -> pathlib.Path:
    base = folder.parent.with_name("checkpoints_damaged")
    base.mkdir(exist_ok=True)
    aside, again = base / folder.name, 0
    while aside.exists():
        again += 1
        aside = base / f"{folder.name}_{again}"
    return folder.rename(aside)


def _variables(tree: dict[str, Any], progress: Progress) -> tuple[dict[str, Any], dict[str, Any]]:
    variables = {"params": tree["params"], "batch_stats": tree.get("batch_stats", {})}
    return variables, dataclasses.asdict(progress)


def _loss(progress: Progress) -> float:
    return float("inf") if progress.validation_loss is None else progress.validation_loss
