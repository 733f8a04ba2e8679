"""Stage `predict`: masks, beats and ejection fraction of clips that somebody brings.

Reads `config.predict.inputs`; writes into `config.predict.output` four files per clip (see
`reporting/predictions.py`), what `config.predict.formats` names besides, a table over all of them
and `run_report.json`. Which student does it is said in `config.student`. The same command again
continues: clips whose results are there are not predicted again.
"""

import functools
import pathlib
from collections.abc import Sequence

import ml_collections
from etils import epath

from echodfkd_jax import buckets, files
from echodfkd_jax.clips import finding
from echodfkd_jax.errors import UserError
from echodfkd_jax.interop.viewers import formats
from echodfkd_jax.prediction import archive
from echodfkd_jax.prediction.run_report import RunReport
from echodfkd_jax.prediction.several import Done, Item, Work, predict_all, say
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
    paths = _find(settings.inputs, output)
    items = [
        Item(number, name, path)
        for number, (path, name) in enumerate(zip(paths, finding.safe_names(paths)))
    ]
    student = load()
    print(f"student: {student.source} ({student.fingerprint})")
    files.make_folder(output)
    failed = {}
    if settings.beam:
        workdir = str(config.workdir)
        predictor = archive.ShardPredictor(workdir, which, settings, str(files.absolute(output)))
        failed = archive.run(items, predictor, settings.beam)
    work = Work(student, settings, which.refine, output, written_as, failed)
    report = RunReport(work)
    for done in predict_all(items, work, total=len(items)):
        report.add(done)
        _tell(done)
    table = report.write(output)
    count = len(items)
    if report.num_failed == count:
        raise UserError(f"none of the {count} clips could be predicted; reasons are in {table}")
    before = f", {report.num_kept} of them before" if report.num_kept else ""
    print(f"{count - report.num_failed} of {count} clips predicted{before}")
    print(f"  results: {output}")
    print(f"  table: {table}")
    print(f"  {predictions.DISCLAIMER}")


def _find(inputs: str, output: epath.Path) -> Sequence[pathlib.Path]:
    """The clips that are named; the results of an earlier prediction are none."""
    local = str(buckets.local_copy(inputs)) if files.is_bucket(inputs) else inputs
    found = finding.find_clips(local, "config.predict.inputs")
    for line in found.summary():
        print(line)
    paths = [path for path in found.paths if not _within(path, output)]
    if not paths:
        raise UserError(
            f"config.predict.inputs={inputs}: all of it lies in the folder of the "
            f"results, {output}; set another config.predict.output"
        )
    return paths


def _tell(done: Done) -> None:
    """Says what became of a clip; one that was done before, nothing."""
    name = done.record["name"]
    if done.content is None:
        say(f"left out: {done.record['status']}", failure=True)
        return
    if done.kept:
        return
    say(predictions.summary_line(name, done.content))
    for note in done.content["notes"]:
        if note.startswith(formats.NOT_WRITTEN):
            say(f"{name}: {note}", failure=True)


def _within(path: pathlib.Path, folder: epath.Path) -> bool:
    return not files.is_bucket(folder) and path.resolve().is_relative_to(folder.resolve())
