"""Whole archives as a Beam pipeline: every worker predicts clips as one machine would.

Workers write the files of their clips into the folder of the results, which all of them reach;
the table is made of these files, by the same call that continues an interrupted prediction.
"""

import contextlib
import dataclasses
import functools
import json
from collections.abc import Iterator, Sequence
from typing import Any

from etils import epath

from echodfkd_jax import files
from echodfkd_jax.errors import UserError
from echodfkd_jax.interop.viewers.formats import open_formats
from echodfkd_jax.networks.loaded import LoadedNetwork
from echodfkd_jax.prediction.several import Item, Work, predict_all
from echodfkd_jax.runs.student import choose_student
from echodfkd_jax.settings import PredictSettings, StudentSettings

# Clips that a worker takes at a time.
_CLIPS_PER_SHARD = 16
_FAILED = ".failed"


@dataclasses.dataclass(frozen=True)
class ShardPredictor:
    """Predicts some clips when it is called, where it is called; picklable.

    Attributes:
        workdir: of the run, see `choose_student`.
        which: the student.
        settings: how clips are outlined.
        output: the folder of the results.
    """

    workdir: str
    which: StudentSettings
    settings: PredictSettings
    output: str

    def __call__(self, items: Sequence[tuple[int, str, str]]) -> Iterator[str]:
        """Writes the results of clips and yields those that failed, as JSON of name and reason.

        Args:
            items: number, name and path of each.
        """
        work = Work(
            _student(self.workdir, self.which),
            self.settings,
            self.which.refine,
            files.path_of(self.output),
            open_formats(self.settings.formats),
        )
        named = (Item(number, name, epath.Path(path)) for number, name, path in items)
        for done in predict_all(named, work, total=len(items), quiet=True):
            if done.failed:
                yield json.dumps([done.record["name"], done.record["status"]])


@functools.cache
def _student(workdir: str, which: StudentSettings) -> LoadedNetwork:
    """Loaded once in every worker."""
    return choose_student(workdir, which)


def run(items: Sequence[Item], predictor: ShardPredictor, options: str) -> dict[str, str]:
    """Predicts clips through Beam.

    Args:
        items: files, not arrays.
        predictor: what every worker does.
        options: of Beam's pipeline, `name=value` with commas between.

    Returns:
        Name -> reason of the clips that failed.

    Raises:
        UserError: apache-beam is not installed, or does not know an option.
    """
    beam, pipeline_options = _open_beam(options)
    rows = [(item.number, item.name, item.source) for item in items]
    shards = [rows[i : i + _CLIPS_PER_SHARD] for i in range(0, len(rows), _CLIPS_PER_SHARD)]
    prefix = files.path_of(predictor.output) / _FAILED
    _remove(prefix)
    with beam.Pipeline(options=pipeline_options) as pipeline:
        failed = (
            pipeline | beam.Create(shards) | beam.Reshuffle() | "predict" >> beam.FlatMap(predictor)
        )
        failed | beam.io.WriteToText(str(prefix))
    lines = [line for part in _parts(prefix) for line in part.read_text().splitlines()]
    _remove(prefix)
    return dict(json.loads(line) for line in lines)


def _open_beam(options: str) -> tuple[Any, Any]:
    field = f"config.predict.beam={options}"
    try:
        import apache_beam
        from apache_beam.options.pipeline_options import PipelineOptions
    except ModuleNotFoundError as error:
        raise UserError(f"{field}: needs apache-beam; pip install 'echodfkd_jax[beam]'") from error
    flags = [f"--{option.strip()}" for option in options.split(",")]
    try:
        made = PipelineOptions(flags)
        unknown = sorted(set(_names(flags)) - set(made.get_all_options()))
    except SystemExit as error:  # What argparse does about a value that does not fit.
        raise UserError(f"{field}: Beam does not take it; expected name=value,...") from error
    if unknown:
        raise UserError(f"{field}: Beam has no option {unknown[0]!r}; expected name=value,...")
    return apache_beam, made


def _names(flags: Sequence[str]) -> list[str]:
    return [flag.removeprefix("--").partition("=")[0] for flag in flags]


def _parts(prefix: epath.Path) -> list[epath.Path]:
    return sorted(prefix.parent.glob(f"{prefix.name}*"))


def _remove(prefix: epath.Path) -> None:
    for part in _parts(prefix):
        with contextlib.suppress(OSError):
            part.unlink()
