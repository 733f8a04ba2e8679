"""Metric files: TensorBoard events and one JSON object per line, without TensorFlow."""

import json
import os
import pathlib
import time
from collections.abc import Mapping
from typing import Any

import numpy as np
from jaxtyping import UInt8


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
        """
        # Imported here: it takes as long as all the rest of the module.
        from tensorboardX import SummaryWriter

        self._events = SummaryWriter(
            str(tensorboard_dir),
            purge_step=resume_step + 1 if resume_step else None,
            # Two writers of one folder and one second would share a file otherwise.
            filename_suffix=f".{os.getpid()}.{time.monotonic_ns()}",
        )
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
        """
        # The line first: on a full disk it fails at once, where the events wait for their thread.
        if self._path is not None:
            time_s = round(self._past_s + time.perf_counter() - self._start_s, 3)
            line = {"step": step, "epoch": epoch, "time_s": time_s, **scalars}
            with self._path.open("a") as file:
                file.write(json.dumps(line) + "\n")
        for tag, value in scalars.items():
            self._events.add_scalar(tag, value, step)

    def write_images(self, step: int, images: Mapping[str, UInt8[np.ndarray, "h w 3"]]) -> None:
        """Writes RGB images of one step to TensorBoard, by tag."""
        for tag, image in images.items():
            self._events.add_image(tag, image, step, dataformats="HWC")
        self._events.flush()

    def flush(self) -> None:
        """Brings the events to disk; lines are there already."""
        self._events.flush()

    def close(self) -> None:
        """Flushes and closes."""
        self._events.close()


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
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(path.name + ".part")
    part.write_text("".join(json.dumps(line) + "\n" for line in kept))
    part.replace(path)
    return float(kept[-1]["time_s"]) if kept else 0.0
