"""Metric files: TensorBoard events and one JSON object per line, without TensorFlow."""

import json
import os
import pathlib
import time
from collections.abc import Mapping
from typing import Any

import numpy as np
from jaxtyping import UInt8

from echodfkd_jax import disk

# What is younger may be lost when the machine stops.
_FLUSH_S = 10.0


class Writer:
    """Writes the scalars and images of one job.

    A run that is continued at step n drops the lines after n and hides TensorBoard's events after
    it, so that the files say what an uninterrupted run's would.
    """

    def __init__(
        self,
        tensorboard_dir: str | pathlib.Path,
        jsonl_path: str | pathlib.Path | None = None,
        *,
        resume_step: int = 0,
    ) -> None:
        """Opens the files.

        Args:
            tensorboard_dir: folder of the event files; made where it does not exist.
            jsonl_path: the file of lines; None: events only.
            resume_step: the last step that counts; 0 begins anew.

        Raises:
            UserError: the folder cannot be written.
        """
        self._events = _Events(pathlib.Path(tensorboard_dir), resume_step)
        self._path = None if jsonl_path is None else pathlib.Path(jsonl_path)
        self._past_s = 0.0
        if self._path is not None:
            self._past_s = _keep_lines(self._path, resume_step)
        self._start_s = time.perf_counter()

    def write_scalars(
        self, step: int, scalars: Mapping[str, float], *, epoch: int | None = None
    ) -> None:
        """Writes numbers of one step.

        Args:
            step: training steps taken.
            scalars: tag, such as `train/loss`, and value.
            epoch: epochs begun; written to the line.

        Raises:
            UserError: the disk does not take them.
        """
        if self._path is not None:
            time_s = round(self._past_s + time.perf_counter() - self._start_s, 3)
            line = {"step": step, "epoch": epoch, "time_s": time_s, **scalars}
            with disk.writing(self._path), self._path.open("a") as file:
                file.write(json.dumps(line) + "\n")
        self._events.add_scalars(step, scalars)

    def write_images(self, step: int, images: Mapping[str, UInt8[np.ndarray, "h w 3"]]) -> None:
        """Writes RGB images of one step to TensorBoard, by tag.

        Raises:
            UserError: the disk does not take them.
        """
        self._events.add_images(step, images)
        self._events.flush()

    def flush(self) -> None:
        """Brings the events to disk; lines are there already."""
        self._events.flush()

    def close(self) -> None:
        """Flushes and closes.

        Raises:
            UserError: the disk does not take what is left.
        """
        self._events.close()


class _Events:
    """TensorBoard's file of events, written in the caller's thread.

    tensorboardX's own writer has a thread of its own: when that dies of a full disk, the next
    number waits for ever for it.
    """

    def __init__(self, folder: pathlib.Path, resume_step: int) -> None:
        # Imported here: it takes as long as all the rest of the module.
        from tensorboardX import summary
        from tensorboardX.event_file_writer import EventsWriter
        from tensorboardX.proto import event_pb2

        self._folder, self._summary, self._new = folder, summary, event_pb2.Event
        disk.make_folder(folder)
        self._flushed_s = time.monotonic()
        with disk.writing(folder):
            # Two writers of one folder and one second would share a file otherwise.
            self._file = EventsWriter(
                str(folder / "events"), f".{os.getpid()}.{time.monotonic_ns()}"
            )
        if resume_step:
            start = event_pb2.SessionLog(status=event_pb2.SessionLog.START)
            self._add(self._new(step=resume_step + 1, file_version="brain.Event:2"))
            self._add(self._new(step=resume_step + 1, session_log=start))

    def add_scalars(self, step: int, scalars: Mapping[str, float]) -> None:
        for tag, value in scalars.items():
            self._add(self._new(step=step, summary=self._summary.scalar(tag, value)))

    def add_images(self, step: int, images: Mapping[str, UInt8[np.ndarray, "h w 3"]]) -> None:
        for tag, image in images.items():
            made = self._summary.image(tag, image, dataformats="HWC")
            self._add(self._new(step=step, summary=made))

    def flush(self) -> None:
        self._flushed_s = time.monotonic()
        with disk.writing(self._folder):
            self._file.flush()

    def close(self) -> None:
        with disk.writing(self._folder):
            self._file.close()

    def _add(self, event: Any) -> None:
        event.wall_time = time.time()
        with disk.writing(self._folder):
            self._file.write_event(event)
        if time.monotonic() - self._flushed_s > _FLUSH_S:
            self.flush()


def read_lines(path: str | pathlib.Path) -> list[dict[str, Any]]:
    """Reads a file of lines up to the first damaged one, such as a last line that was cut short.

    Returns:
        One dict per line; none where there is no file.
    """
    path = pathlib.Path(path)
    if not path.exists():
        return []
    lines = []
    for text in path.read_text(errors="replace").splitlines():
        try:
            line = json.loads(text)
        except (ValueError, RecursionError):
            break
        if not isinstance(line, dict) or not isinstance(line.get("step"), int):
            break
        lines.append(line)
    return lines


def _keep_lines(path: pathlib.Path, last_step: int) -> float:
    """Keeps the lines up to a step, whole file or nothing; returns the time of the last one."""
    kept = [line for line in read_lines(path) if line["step"] <= last_step]
    disk.write_text(path, "".join(json.dumps(line) + "\n" for line in kept))
    return float(kept[-1]["time_s"]) if kept else 0.0
