"""Checkpoints: Orbax behind one small module, with a checksum of our own.

Orbax writes atomically, but a finished checkpoint that is damaged later still counts: one flipped
byte is restored as other numbers without an error, an emptied folder is the latest step. So the
sha256 of all numbers lies beside them, and a step that does not match it is passed over. The sha256
of every file, written when the save is complete, tells which file it is that was damaged.

Orbax writes to local disks. A run in a bucket has its checkpoints sent there when they are
complete, the sums of the files last: without them a checkpoint in a bucket does not count.
"""

import dataclasses
import hashlib
import json
import logging
import pathlib
import shutil
from collections.abc import Sequence
from typing import Any

import jax
import numpy as np
import orbax.checkpoint as ocp
from etils import epath
from flax import traverse_util
from orbax.checkpoint import checkpoint_managers

from echodfkd_jax import buckets, files
from echodfkd_jax.disk import writing
from echodfkd_jax.errors import UserError
from echodfkd_jax.runs import watch
from echodfkd_jax.runs.progress import Progress

_log = logging.getLogger(__name__)
# In the folder of a step.
_SEAL = "files.sha256"


class Checkpoints:
    """The checkpoints of one run while it trains.

    Of the saved steps the latest `keep_latest` and the best are kept, and those that a watching
    evaluation has still to score. Of several processes the first alone may use it.
    """

    def __init__(self, workdir: files.PathLike, *, keep_latest: int) -> None:
        """`<workdir>/checkpoints` is made by the first save."""
        self._directory = directory(workdir)
        self._outbox = buckets.Outbox(self._directory)
        self._policy = _KeepLatestAndBest(keep_latest, files.path_of(workdir))
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
            DiskError: the disk is full or not writable.
        """
        self._policy.best_step = progress.best_step
        fields = dataclasses.asdict(progress)
        metadata = {"progress": fields, "sha256": _checksum(tree, fields)}
        with writing(self._outbox.local):
            self._finish()
            if self._manager is None:
                self._manager = self._open_manager()
            saved = self._manager.save(
                progress.step,
                args=ocp.args.Composite(
                    state=ocp.args.StandardSave(tree), about=ocp.args.JsonSave(metadata)
                ),
            )
        if not saved:
            raise RuntimeError(f"Orbax did not save step {progress.step} in {self._directory}")
        self._unsealed = progress.step

    def close(self) -> None:
        """Waits until everything is on disk.

        Raises:
            DiskError: the last save failed because the disk is full or not writable.
        """
        with writing(self._outbox.local):
            try:
                self._finish()
            finally:
                manager, self._manager = self._manager, None
                if manager is not None:
                    manager.close()
                self._outbox.close()

    def _open_manager(self) -> ocp.CheckpointManager:
        local = self._outbox.local
        local.mkdir(parents=True, exist_ok=True)
        if files.is_bucket(self._directory):
            # So that Orbax knows them, and says when they are no longer kept.
            for step in _steps(self._directory):
                with buckets.fetched(self._directory / str(step)) as folder:
                    shutil.copytree(folder, local / str(step), dirs_exist_ok=True)
        return _open(local, policy=self._policy)

    def _finish(self) -> None:
        """Waits for the save that is under way."""
        if self._manager is None:
            return
        step, self._unsealed = self._unsealed, None
        self._manager.wait_until_finished()
        if step is None:
            return
        _seal(self._outbox.local / str(step))
        if files.is_bucket(self._directory):
            buckets.send(self._outbox.local / str(step), self._directory / str(step), last=_SEAL)
            kept = _steps(self._outbox.local)
            for old in set(_steps(self._directory)) - set(kept):
                buckets.remove(self._directory / str(old))


def directory(workdir: files.PathLike) -> epath.Path:
    """Where a run's checkpoints are; absolute, as Orbax wants it."""
    return files.absolute(workdir) / "checkpoints"


def last_saved(workdir: files.PathLike) -> str:
    """Where the last checkpoint is, as part of a message."""
    steps = all_steps(workdir)
    if not steps:
        return "no checkpoint was saved yet"
    return f"the last good checkpoint is {directory(workdir) / str(steps[-1])}"


def all_steps(workdir: files.PathLike) -> list[int]:
    """The steps with a finished checkpoint, ascending; damaged ones are among them."""
    return _steps(directory(workdir))


def restore_variables(
    workdir: files.PathLike, which: str | int = "best"
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
    workdir: epath.Path
    best_step: int = 0

    def should_preserve(self, checkpoints: Sequence[Any], *, context: Any) -> list[bool]:
        del context
        first_kept = len(checkpoints) - self.latest
        scored = watch.scored_step(self.workdir)
        return [
            i >= first_kept or c.step == self.best_step or (scored is not None and c.step > scored)
            for i, c in enumerate(checkpoints)
        ]


def _open(path: files.PathLike, *, policy: Any = None) -> ocp.CheckpointManager:
    me = jax.process_index()
    options = ocp.CheckpointManagerOptions(
        create=False,
        preservation_policy=policy,
        # Orbax would wait for all processes of a run, and only one calls it.
        multiprocessing_options=ocp.options.MultiprocessingOptions(
            primary_host=me, active_processes={me}, barrier_sync_key_prefix=f"process_{me}"
        ),
    )
    return ocp.CheckpointManager(epath.Path(path), options=options)


def _steps(path: epath.Path | pathlib.Path) -> list[int]:
    if not path.is_dir():
        return []
    if files.is_bucket(path):
        return sorted(int(step.name) for step in path.iterdir() if (step / _SEAL).exists())
    with _open(path) as manager:
        return sorted(manager.all_steps())


def _read(path: epath.Path, step: int) -> tuple[dict[str, Any], Progress]:
    folder = path / str(step)
    try:
        with buckets.fetched(folder) as local:
            _check_files(local, folder)
            with _open(local.parent) as manager:
                found = manager.restore(
                    step,
                    args=ocp.args.Composite(
                        state=ocp.args.StandardRestore(), about=ocp.args.JsonRestore()
                    ),
                )
        metadata, tree = found["about"], found["state"]
        intact = metadata["sha256"] == _checksum(tree, metadata["progress"])
        progress = Progress(**metadata["progress"])
    except _DamagedError:
        raise
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
    files.write_text(folder / _SEAL, f"{text}{own}  {_SEAL}\n")


def _check_files(local: pathlib.Path, folder: epath.Path) -> None:
    """Names a file that is not what was saved; a kill may have left a checkpoint without seal.

    Args:
        local: the checkpoint, or a copy of it.
        folder: the checkpoint, for messages.
    """
    if not any(local.iterdir()):
        raise _DamagedError(f"checkpoint {folder} is empty")
    seal = local / _SEAL
    if not seal.is_file():
        return
    *lines, last = seal.read_text(errors="replace").splitlines(keepends=True) or [""]
    own = hashlib.sha256("".join(lines).encode()).hexdigest()
    if last != f"{own}  {_SEAL}\n":
        raise _DamagedError(f"checkpoint {folder} is damaged: {folder / _SEAL} was changed")
    found = _file_sums(local)
    for line in lines:
        digest, name = line.rstrip("\n").split("  ", 1)
        if found.get(name) != digest:
            what = "was changed" if name in found else "is missing"
            raise _DamagedError(f"checkpoint {folder} is damaged: {folder / name} {what}")


def _file_sums(folder: pathlib.Path) -> dict[str, str]:
    found = sorted(p for p in folder.rglob("*") if p.is_file() and not p.name.startswith(_SEAL))
    return {str(file.relative_to(folder)): files.sha256_of(file) for file in found}


def _checksum(tree: dict[str, Any], progress: dict[str, Any]) -> str:
    """sha256 over names, types, shapes and bytes of all arrays, and over the progress."""
    digest = hashlib.sha256(json.dumps(progress, sort_keys=True).encode())
    leaves = traverse_util.flatten_dict(tree, sep="/")
    for name in sorted(leaves):
        array = np.asarray(leaves[name])
        digest.update(f"{name} {array.dtype} {array.shape} ".encode())
        digest.update(array.tobytes())
    return digest.hexdigest()


def _move_aside(folder: epath.Path) -> epath.Path:
    base = folder.parent.with_name("checkpoints_damaged")
    aside, again = base / folder.name, 0
    while aside.exists():
        again += 1
        aside = base / f"{folder.name}_{again}"
    return buckets.move_folder(folder, aside)


def _variables(tree: dict[str, Any], progress: Progress) -> tuple[dict[str, Any], dict[str, Any]]:
    variables = {"params": tree["params"], "batch_stats": tree.get("batch_stats", {})}
    return variables, dataclasses.asdict(progress)


def _loss(progress: Progress) -> float:
    return float("inf") if progress.validation_loss is None else progress.validation_loss
