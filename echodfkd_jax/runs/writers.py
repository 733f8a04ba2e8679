"""Metric files: TensorBoard events and one JSON object per line, without TensorFlow."""

import json
import os
import pathlib
import time
from collections.abc import Mapping, Sequence
from typing import Any, cast

import numpy as np
from etils import epath
from jaxtyping import UInt8

from echodfkd_jax import buckets, files
from echodfkd_jax.disk import writing

# What is younger may be lost when the machine stops.
_FLUSH_S = 10.0


class Writer:
    """Writes the scalars and images of one job.

    A run that is continued at step n drops the lines after n and hides TensorBoard's events after
    it, so that the files say what an uninterrupted run's would.
    """

    def __init__(
        self,
        tensorboard_dir: files.PathLike,
        jsonl_path: files.PathLike | None = None,
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
        self._events = _Events(files.path_of(tensorboard_dir), resume_step)
        self._lines: _Lines | None = None
        self._past_s = 0.0
        if jsonl_path is not None:
            self._lines = _Lines(files.path_of(jsonl_path), resume_step)
            self._past_s = self._lines.past_s
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
        if self._lines is not None:
            time_s = round(self._past_s + time.perf_counter() - self._start_s, 3)
            self._lines.add({"step": step, "epoch": epoch, "time_s": time_s, **scalars})
        self._events.add_scalars(step, scalars)

    def write_images(self, step: int, images: Mapping[str, UInt8[np.ndarray, "h w 3"]]) -> None:
        """Writes RGB images of one step to TensorBoard, by tag.

        Raises:
            UserError: the disk does not take them.
        """
        self._events.add_images(step, images)
        self._events.flush()

    def write_texts(self, step: int, texts: Mapping[str, str]) -> None:
        """Writes Markdown of one step to TensorBoard, by tag.

        Raises:
            UserError: the disk does not take it.
        """
        self._events.add_texts(step, texts)

    def write_settings(self, settings: Mapping[str, Any], metrics: Sequence[str]) -> None:
        """Tells TensorBoard's table of runs (HParams) what this one was made with.

        Args:
            settings: numbers, texts and truths by name; what is something else is told as text.
            metrics: tags of the scalars that stand beside them.

        Raises:
            UserError: the disk does not take it.
        """
        self._events.add_settings(settings, metrics)

    def close(self) -> None:
        """Brings what is left to disk.

        Raises:
            UserError: the disk does not take it.
        """
        self._events.close()
        if self._lines is not None:
            self._lines.close()


class _Sent:
    """Sends a folder's growing files to its bucket now and then; local ones need no sending."""

    def __init__(self, folder: epath.Path) -> None:
        self._outbox = buckets.Outbox(folder)
        self._sent_s = time.monotonic()

    @property
    def local(self) -> pathlib.Path:
        return self._outbox.local

    @property
    def is_due(self) -> bool:
        return time.monotonic() - self._sent_s > _FLUSH_S

    def send(self) -> None:
        self._sent_s = time.monotonic()
        self._outbox.send()

    def close(self) -> None:
        self._outbox.send()
        self._outbox.close()


class _Lines:
    """The file of lines; every line is on the local disk at once."""

    def __init__(self, path: epath.Path, resume_step: int) -> None:
        self._sent = _Sent(path.parent)
        self._path = self._sent.local / path.name
        kept = [line for line in read_lines(path) if line["step"] <= resume_step]
        files.write_text(self._path, "".join(json.dumps(line) + "\n" for line in kept))
        self._sent.send()
        self.past_s = float(kept[-1]["time_s"]) if kept else 0.0

    def add(self, line: Mapping[str, Any]) -> None:
        with writing(self._path), self._path.open("a") as file:
            file.write(json.dumps(line) + "\n")
        if self._sent.is_due:
            self._sent.send()

    def close(self) -> None:
        self._sent.close()


class _Events:
    """TensorBoard's file of events, written in the caller's thread.

    tensorboardX's own writer has a thread of its own: when that dies of a full disk, the next
    number waits for ever for it.
    """

    def __init__(self, folder: epath.Path, resume_step: int) -> None:
        # Imported here: it takes as long as all the rest of the module.
        from tensorboardX import summary
        from tensorboardX.event_file_writer import EventsWriter
        from tensorboardX.proto import event_pb2

        messages = cast(Any, event_pb2)  # protobuf makes the classes when they are imported.
        self._sent = _Sent(folder)
        self._folder, self._summary, self._new = self._sent.local, summary, messages.Event
        files.make_folder(self._folder)
        with writing(self._folder):
            # Two writers of one folder and one second would share a file otherwise.
            self._file = EventsWriter(
                str(self._folder / "events"), f".{os.getpid()}.{time.monotonic_ns()}"
            )
        if resume_step:
            start = messages.SessionLog(status=messages.SessionLog.START)
            self._add(self._new(step=resume_step + 1, file_version="brain.Event:2"))
            self._add(self._new(step=resume_step + 1, session_log=start))

    def add_scalars(self, step: int, scalars: Mapping[str, float]) -> None:
        for tag, value in scalars.items():
            self._add(self._new(step=step, summary=self._summary.scalar(tag, value)))

    def add_images(self, step: int, images: Mapping[str, UInt8[np.ndarray, "h w 3"]]) -> None:
        for tag, image in images.items():
            made = self._summary.image(tag, image, dataformats="HWC")
            self._add(self._new(step=step, summary=made))

    def add_texts(self, step: int, texts: Mapping[str, str]) -> None:
        for tag, text in texts.items():
            self._add(self._new(step=step, summary=self._summary.text(tag, text)))

    def add_settings(self, settings: Mapping[str, Any], metrics: Sequence[str]) -> None:
        plain = {
            name: value if isinstance(value, bool | int | float | str) else json.dumps(value)
            for name, value in settings.items()
        }
        made = self._summary.hparams(plain, dict.fromkeys(metrics))
        for summary in made:
            self._add(self._new(step=0, summary=summary))

    def flush(self) -> None:
        with writing(self._folder):
            self._file.flush()
        self._sent.send()

    def close(self) -> None:
        with writing(self._folder):
            self._file.close()
        self._sent.close()

    def _add(self, event: Any) -> None:
        event.wall_time = time.time()
        with writing(self._folder):
            self._file.write_event(event)
        if self._sent.is_due:
            self.flush()


def read_lines(place: files.PathLike) -> list[dict[str, Any]]:
    """Reads a file of lines up to the first damaged one, such as a last line that was cut short.

    Returns:
        One dict per line; none where there is no file.
    """
    path = files.path_of(place)
    if not path.exists():
        return []
    lines = []
    for text in path.read_bytes().decode(errors="replace").splitlines():
        try:
            line = json.loads(text)
        except (ValueError, RecursionError):
            break
        if not isinstance(line, dict) or not isinstance(line.get("step"), int):
            break
        lines.append(line)
    return lines
