"""`echodfkd_jax.predict`: one clip, or any number of them."""

import os
import pathlib
from collections.abc import Iterable, Iterator, Sequence, Sized
from typing import Any, overload

import numpy as np

from echodfkd_jax import files
from echodfkd_jax.clips.finding import Names
from echodfkd_jax.errors import UserError
from echodfkd_jax.interop.viewers.formats import open_formats
from echodfkd_jax.networks.loaded import LoadedNetwork
from echodfkd_jax.prediction import outlining
from echodfkd_jax.prediction.clip import ClipPrediction
from echodfkd_jax.prediction.run_report import RunReport
from echodfkd_jax.prediction.several import Item, Record, Work, predict_all
from echodfkd_jax.runs.student import load_student
from echodfkd_jax.settings import PredictSettings

OneClip = files.PathLike | np.ndarray


@overload
def predict(
    clips: OneClip,
    student: LoadedNetwork | str = ...,
    *,
    fps: float = ...,
    crop: str = ...,
    mirrored: str = ...,
    refined: bool = ...,
) -> ClipPrediction: ...


@overload
def predict(
    clips: Iterable[OneClip],
    student: LoadedNetwork | str = ...,
    *,
    fps: float = ...,
    crop: str = ...,
    mirrored: str = ...,
    refined: bool = ...,
    output: files.PathLike = ...,
    formats: Sequence[str] = ...,
) -> list[Record]: ...


def predict(
    clips: Any,
    student: LoadedNetwork | str = "best",
    *,
    fps: float = 0.0,
    crop: str = "square",
    mirrored: str = "auto",
    refined: bool = True,
    output: files.PathLike = "",
    formats: Sequence[str] = (),
) -> ClipPrediction | list[Record]:
    """Outlines the left ventricle in clips, and what else the student knows, and measures it.

    Args:
        clips: a video, NPZ or DICOM file, a folder of PNG files, or grey frames 0..255, uint8
            (t, h, w); or an iterable of these, which is asked for a clip when it is needed.
        student: "best" or "small" of the shipped ones, a weights file, a run's folder, or what
            `load_student` gave, which saves loading it again.
        fps: frames per second; 0: what the file says.
        crop: "square" (the largest one around the middle) or "full" (squeezed).
        mirrored: whether left and right are exchanged: "yes", "no", or "auto" to find out.
        refined: smooth the masks over time and keep the largest part of each.
        output: of several clips, a folder for what `--stage=predict` writes; the same call
            continues one that was cut short. Without it nothing is written.
        formats: what several clips are written as besides; see `config.predict.formats`.

    Returns:
        Of one clip its masks and numbers. Of several a record each, in their order: what
        `predictions.csv` has of it, `status` "ok" or why it has no numbers;
        `pandas.DataFrame(records)` is a table.

    Raises:
        UserError: one clip cannot be read, or is of one grey throughout; a setting does not fit;
            the results cannot be written.
    """
    settings = PredictSettings(fps=fps, crop=crop, mirrored=mirrored, formats=tuple(formats))
    network = load_student(student) if isinstance(student, str) else student
    if not _is_one(clips):
        return _several(clips, network, settings, refined, output)
    if output or formats:
        raise UserError(
            "predict: output and formats are for several clips; write predict([clip], output=...)"
        )
    clip = outlining.read(clips, settings.crop)
    (found,) = outlining.outline([clip], network, settings, refined=refined)
    return found


def _is_one(clips: Any) -> bool:
    if isinstance(clips, np.ndarray):
        _check(clips, 3, 4)
        return clips.ndim == 3
    return isinstance(clips, str | os.PathLike)


def _check(frames: np.ndarray, *dimensions: int) -> None:
    if frames.dtype != np.uint8 or frames.ndim not in dimensions:
        raise UserError(
            f"predict: an array {frames.dtype}{list(frames.shape)}; expected grey frames, uint8 "
            "(t, h, w), or several such clips"
        )


def _several(
    clips: Iterable[OneClip],
    network: LoadedNetwork,
    settings: PredictSettings,
    refined: bool,
    output: files.PathLike,
) -> list[Record]:
    work = Work(
        network,
        settings,
        refined,
        files.make_folder(output) if output else None,
        open_formats(settings.formats),
    )
    report = RunReport(work)
    total = len(clips) if isinstance(clips, Sized) else None
    for done in predict_all(_items(clips), work, total=total):
        report.add(done)
    if work.output is not None:
        report.write(work.output)
    return report.records


def _items(clips: Iterable[OneClip]) -> Iterator[Item]:
    names = Names()
    for number, clip in enumerate(clips):
        if isinstance(clip, np.ndarray):
            _check(clip, 3)
            yield Item(number, names.of(pathlib.Path(f"clip_{number:06d}.npz")), clip)
        else:
            path = files.path_of(clip)
            yield Item(number, names.of(pathlib.Path(path)), path)
