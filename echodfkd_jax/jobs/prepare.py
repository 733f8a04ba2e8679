"""`--stage=prepare`: makes the data set that a configuration asks for, through its tfds builder."""

import contextlib
import io
import json
import pathlib
from typing import Any

import ml_collections
from etils import epath

from echodfkd_jax import buckets, files
from echodfkd_jax.datasets import labels, recipe, sources
from echodfkd_jax.datasets import prepared as dataset
from echodfkd_jax.disk import writing
from echodfkd_jax.errors import UserError


def run(config: ml_collections.ConfigDict) -> epath.Path:
    """Makes the data set unless it is there; prints where it is and what it holds.

    Args:
        config: `config.dataset` and `config.teacher` are read.

    Returns:
        The data set's folder.

    Raises:
        UserError: clips or teacher are missing, or the folder holds a data set of the same name
            that was made with another teacher, generator version, or from other clips.
    """
    fields, teacher = recipe.fields_of(config), config.teacher.to_dict()
    name, asked = recipe.resolve(fields, teacher)
    target = dataset.directory(fields, teacher)
    clips_dir = None if asked.is_generated else _clips_dir(fields, needed=not asked.is_own)
    if dataset.is_prepared(target):
        _check(target, asked, clips_dir, teacher)
        print(f"prepare: already done: {_describe(target)}")
        return target
    print(f"prepare: making {target}", flush=True)
    # ArrayRecord is written to local disks; a bucket's data set is made in the cache.
    local = buckets.cache_of(target) if files.is_bucket(target) else pathlib.Path(target)
    if dataset.is_prepared(local):  # An earlier one that did not arrive.
        _check(local, asked, clips_dir, teacher)
    # Here: tfds takes a second to import.
    import tensorflow_datasets as tfds

    from echodfkd_jax.datasets.builder import Builder

    builder = Builder(
        data_dir=str(local.parents[2]),
        config=name if name in recipe.REGISTERED else _builder_config(fields, teacher),
    )
    builder.teacher_options = teacher
    manual_dir = None if clips_dir is None else str(clips_dir)
    # tfds speaks of downloads on stdout; nothing is downloaded.
    with contextlib.redirect_stdout(io.StringIO()), writing(local):
        builder.download_and_prepare(
            download_config=tfds.download.DownloadConfig(manual_dir=manual_dir)
        )
    if files.is_bucket(target):
        print(f"prepare: sending {local}", flush=True)
        buckets.send(local, target, last=dataset.COMPLETE)
    print(f"prepare: done: {_describe(target)}")
    return target


def _clips_dir(fields: dict[str, Any], *, needed: bool) -> pathlib.Path | None:
    """The folder of recorded clips; None where it is not needed and not given."""
    manual_dir = fields.get("manual_dir", "")
    if not manual_dir and not needed:
        return None
    if not manual_dir:
        raise UserError(
            f"config.dataset.manual_dir is empty; {fields['name']} needs the folder that holds the "
            "clips, see data/README.md"
        )
    path = buckets.local_copy(manual_dir).absolute()
    if not path.is_dir():
        raise UserError(f"config.dataset.manual_dir={manual_dir}: no such folder")
    if not any(path.iterdir()):  # tfds would not go on, either.
        raise UserError(f"config.dataset.manual_dir={manual_dir}: nothing is in this folder")
    return path


def _check(
    target: files.PathLike,
    asked: recipe.Recipe,
    clips_dir: pathlib.Path | None,
    teacher: dict[str, Any],
) -> None:
    """Refuses a data set that another teacher, generator or other clips went into."""
    options = labels.LazyTeacher.from_options(teacher, clips_dir)
    expected = {"teacher": options.fingerprint, **sources.identities(asked, clips_dir)}
    dataset.check_metadata(target, expected)


def _builder_config(fields: dict[str, Any], teacher: dict[str, Any]) -> Any:
    places = ("name", "data_dir", "manual_dir")
    parameters = {key: value for key, value in fields.items() if key not in places}
    from echodfkd_jax.datasets.builder_config import EchoClipsConfig

    return EchoClipsConfig(name=fields["name"], parameters=parameters, teacher=teacher)


def _describe(target: files.PathLike) -> str:
    """One line: clips per split, what became of a folder's clips, and where the report is."""
    path = files.path_of(target) / "prepare_report.json"
    report = json.loads(path.read_text())
    numbers = ", ".join(f"{number} {split}" for split, number in report["num_clips"].items())
    layout = report["layout"]
    left_out = f", {layout['num_left_out']} left out" if layout else ""
    return f"{numbers} clips{left_out}; see {path}"
