"""Stage `predict`: masks, beats and ejection fraction of clips that somebody brings.

Reads `config.predict.inputs`; writes into `config.predict.output` four files per clip (see
`reporting/predictions.py`) and a table over all of them. Which student does it is
said in `config.student`.
"""

import functools
import pathlib
import sys
from collections.abc import Callable, Sequence
from typing import Any

import ml_collections
import tqdm
from etils import epath

from echodfkd_jax import buckets, files
from echodfkd_jax.clips import finding
from echodfkd_jax.errors import DiskError, UserError
from echodfkd_jax.interop.viewers import formats
from echodfkd_jax.prediction.clip import predict_file
from echodfkd_jax.prediction.stream import run_stream
from echodfkd_jax.reporting import predictions
from echodfkd_jax.runs.student import choose_student
from echodfkd_jax.settings import PredictSettings, StudentSettings


def run(config: ml_collections.ConfigDict) -> None:
    """Predicts every clip that `config.predict.inputs` names.

    Raises:
        UserError: a setting does not fit, no clip was found, not one could be predicted, or the
            results cannot be written.
    """
    settings = PredictSettings.of(config.predict)
    written_as = formats.open_formats(settings.formats)
    output = files.path_of(settings.output or files.path_of(config.workdir) / "predictions")
    which = StudentSettings.of(config.student)
    load = functools.partial(choose_student, config.workdir, which)
    if settings.stream:
        student = load()
        run_stream(student, settings.output and output)
        return
    # The results of an earlier prediction are no clips.
    inputs = settings.inputs
    if files.is_bucket(inputs):
        inputs = str(buckets.local_copy(inputs))
    found = finding.find_clips(inputs, "config.predict.inputs")
    for line in found.summary():
        print(line)
    paths = [path for path in found.paths if not _within(path, output)]
    if not paths:
        raise UserError(
            f"config.predict.inputs={settings.inputs}: all of it lies in the folder of the "
            f"results, {output}; set another config.predict.output"
        )
    student = load()
    print(f"student: {student.source} ({student.fingerprint})")
    files.make_folder(output)
    outline = functools.partial(
        predict_file,
        student=student,
        settings=settings,
        output=output,
        refined=which.refine,
        formats=written_as,
    )
    rows = _predict_all(paths, outline)
    table = predictions.write_table(output, rows)
    failed = [row for row in rows if row["status"] != "ok"]
    if len(failed) == len(rows):
        raise UserError(f"none of the {len(rows)} clips could be predicted; reasons are in {table}")
    print(f"{len(rows) - len(failed)} of {len(rows)} clips predicted")
    print(f"  results: {output}")
    print(f"  table: {table}")
    print(f"  {predictions.DISCLAIMER}")


def _predict_all(
    paths: Sequence[pathlib.Path], outline: Callable[[pathlib.Path, str], dict[str, Any]]
) -> list[dict[str, Any]]:
    """Predicts clip after clip; one that cannot be read is named and does not stop the others."""
    rows: list[dict[str, Any]] = []
    with tqdm.tqdm(total=len(paths), desc="predicting", unit="clip") as bar:
        for path, name in zip(paths, finding.safe_names(paths)):
            row: dict[str, Any] = {"name": name, "source": str(path)}
            try:
                content = outline(path, name)
            except DiskError:
                raise
            except UserError as error:
                tqdm.tqdm.write(f"left out: {error}", file=sys.stderr)
                rows.append({**row, "status": str(error)})
            else:
                tqdm.tqdm.write(predictions.summary_line(name, content))
                for note in content["notes"]:
                    if note.startswith(formats.NOT_WRITTEN):
                        tqdm.tqdm.write(f"{name}: {note}", file=sys.stderr)
                rows.append({**row, **content, "status": "ok"})
            bar.update()
    return rows


def _within(path: pathlib.Path, folder: epath.Path) -> bool:
    return not files.is_bucket(folder) and path.resolve().is_relative_to(folder.resolve())
