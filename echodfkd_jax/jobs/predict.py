"""Stage `predict`: masks, beats and ejection fraction of clips that somebody brings.

Reads `config.predict.inputs`; writes into `config.predict.output` four files per clip (see
`reporting/predictions.py`) and a table over all of them. The student is, in this order, that of
`config.predict.weights`, of the run in `config.workdir`, or the one that is shipped.
"""

import dataclasses
import functools
import math
import pathlib
import sys
from collections.abc import Sequence
from typing import Any

import ml_collections
import tqdm

from echodfkd_jax.clips import inputs as clip_inputs
from echodfkd_jax.errors import UserError
from echodfkd_jax.evaluation.clip_report import report_clip
from echodfkd_jax.jobs.loaded_student import LoadedStudent, load_student_of
from echodfkd_jax.jobs.predict_stream import run_stream
from echodfkd_jax.reporting import predictions
from echodfkd_jax.student.inference import predict_clip


@dataclasses.dataclass(frozen=True)
class PredictSettings:
    """Section `config.predict`.

    Attributes:
        inputs: a clip, a folder or a glob.
        output: folder of the results; empty: `<workdir>/predictions`.
        weights: a safetensors file of a student; empty: the run's or the shipped one.
        checkpoint: of the run: "best", "latest" or a step.
        crop: "square" (the largest square around the middle) or "full" (the whole frame, squeezed).
        fps: frames per second, instead of what the file says; 0: what the file says.
        stream: read frames from standard input instead, see `docs/predict.md`.
    """

    inputs: str = ""
    output: str = ""
    weights: str = ""
    checkpoint: str | int = "best"
    crop: str = "square"
    fps: float = 0.0
    stream: bool = False

    def __post_init__(self) -> None:
        if self.crop not in clip_inputs.CROPS:
            raise UserError(f"config.predict.crop={self.crop!r}: expected 'square' or 'full'")
        if not (math.isfinite(self.fps) and self.fps >= 0):
            raise UserError(f"config.predict.fps={self.fps}: expected frames per second, or 0")


def run(config: ml_collections.ConfigDict) -> None:
    """Predicts every clip that `config.predict.inputs` names.

    Raises:
        UserError: a setting does not fit, no clip was found, or not one could be predicted.
    """
    settings = PredictSettings(**config.predict)
    output = pathlib.Path(settings.output or pathlib.Path(config.workdir) / "predictions")
    load = functools.partial(
        load_student_of, config.workdir, weights=settings.weights, checkpoint=settings.checkpoint
    )
    if settings.stream:
        student = load()
        run_stream(student.model, student.variables, settings.output and output)
        return
    # The results of an earlier prediction are no clips.
    paths = [path for path in clip_inputs.find_inputs(settings.inputs) if not _within(path, output)]
    if not paths:
        raise UserError(
            f"config.predict.inputs={settings.inputs}: all of it lies in the folder of the "
            f"results, {output}; set another config.predict.output"
        )
    student = load()
    print(f"student: {student.about['source']} ({student.about['fingerprint']})")
    try:
        output.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"config.predict.output={output}: {error.strerror or error}") from error
    rows = _predict_all(paths, student, settings, output)
    table = predictions.write_table(output, rows)
    failed = [row for row in rows if row["status"] != "ok"]
    if len(failed) == len(rows):
        raise UserError(f"none of the {len(rows)} clips could be predicted; reasons are in {table}")
    print(f"{len(rows) - len(failed)} of {len(rows)} clips predicted")
    print(f"  results: {output}")
    print(f"  table: {table}")
    print(f"  {predictions.DISCLAIMER}")


def _predict_all(
    paths: Sequence[pathlib.Path],
    student: LoadedStudent,
    settings: PredictSettings,
    output: pathlib.Path,
) -> list[dict[str, Any]]:
    """Predicts clip after clip; one that cannot be read is named and does not stop the others."""
    rows: list[dict[str, Any]] = []
    with tqdm.tqdm(total=len(paths), desc="predicting", unit="clip") as bar:
        for path, name in zip(paths, clip_inputs.safe_names(paths)):
            row: dict[str, Any] = {"name": name, "source": str(path)}
            try:
                content = _predict(path, name, student, settings, output)
            except UserError as error:
                tqdm.tqdm.write(f"left out: {error}", file=sys.stderr)
                rows.append({**row, "status": str(error)})
            else:
                tqdm.tqdm.write(predictions.summary_line(name, content))
                rows.append({**row, **content, "status": "ok"})
            bar.update()
    return rows


def _predict(
    path: pathlib.Path,
    name: str,
    student: LoadedStudent,
    settings: PredictSettings,
    output: pathlib.Path,
) -> dict[str, Any]:
    """Predicts one clip, writes its files, and returns the content of its JSON."""
    clip = clip_inputs.read_clip(path)
    fps = settings.fps or clip.fps
    fitted = clip_inputs.fit(clip, settings.crop)
    mask = predict_clip(student.model, student.variables, fitted.frames)
    square, side_mm = clip_inputs.with_square_pixels(mask, fitted)
    content = {
        "name": name,
        "source": str(path),
        "student": student.about,
        "num_frames": len(clip.frames),
        "fps": fps if math.isfinite(fps) else None,
        "source_height_px": clip.frames.shape[1],
        "source_width_px": clip.frames.shape[2],
        "crop": settings.crop,
        "box_px": fitted.box._asdict(),
        "pixel_spacing_mm": list(fitted.spacing_mm),
        "notes": list(clip.notes),
        **predictions.numbers(report_clip(square, fps, side_mm), mask, fps),
    }
    predictions.write_clip(output, name, fitted.frames, mask, content, fps)
    return content


def _within(path: pathlib.Path, folder: pathlib.Path) -> bool:
    return path.resolve().is_relative_to(folder.resolve())
