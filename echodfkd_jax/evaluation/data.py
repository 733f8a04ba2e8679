"""The clips of an evaluation and the masks that the student is compared with."""

import dataclasses
import functools
import hashlib
import json
import logging
import pathlib
from collections.abc import Callable
from typing import Any, NamedTuple

import ml_collections
from etils import epath

from echodfkd_jax import buckets, teachers
from echodfkd_jax.clips import camus, echonet, finding
from echodfkd_jax.clips.camus import CamusClips
from echodfkd_jax.clips.echonet import FolderClips
from echodfkd_jax.clips.layout_report import LayoutReport
from echodfkd_jax.datasets import prepared as dataset
from echodfkd_jax.datasets import recipe
from echodfkd_jax.errors import UserError
from echodfkd_jax.settings import EvalSettings
from echodfkd_jax.teachers import Teacher
from echodfkd_jax.teachers.base import structures_of
from echodfkd_jax.types import Clip, Clips, NamedMasks

_log = logging.getLogger(__name__)

ALL_CLIPS = "all"  # `config.eval.split` for every clip of a folder.
_Masks = dict[str, NamedMasks]


class Opened(NamedTuple):
    """Clips that are ready to be read.

    Attributes:
        clips: those that can be used.
        masks_of: gives the masks of all models but the student of a clip.
        report: what became of every clip that lies in a folder; None for a prepared data set.
    """

    clips: Clips
    masks_of: Callable[[Clip], _Masks]
    report: LayoutReport | None = None

    @property
    def metadata(self) -> dict[str, Any]:
        """What metrics.json says about clips that were not used."""
        if self.report is None:
            return {"num_listed": len(self.clips), "left_out": [], "passed_over": {}}
        return {
            "num_listed": self.report.num_listed,
            "left_out": self.report.left_out(),
            "passed_over": self.report.to_json()["passed_over"],
        }


@dataclasses.dataclass(frozen=True)
class EvaluationData:
    """Clips to evaluate on; nothing is decoded before `open` is called.

    Attributes:
        name: of the evaluation: the split, or the folder's.
        metadata: what the clips are, for metrics.json.
        identity: changes when the clips, their masks or the teacher do.
        open: gives the clips.
        models: those models and what made their masks.
    """

    name: str
    metadata: dict[str, Any]
    identity: str
    models: dict[str, str]
    open: Callable[[], Opened]


def open_data(
    settings: EvalSettings, config: ml_collections.ConfigDict, saved: ml_collections.ConfigDict
) -> EvaluationData:
    """The data of an evaluation.

    Args:
        settings: which split, or which folder.
        config: says where data sets are, and for a folder which teacher is evaluated beside the
            student.
        saved: the run's own configuration; its data set is the one that has the split.

    Raises:
        UserError: there is no such data set, split or folder, or the teacher cannot be loaded.
    """
    if settings.clips_dir:
        folder = buckets.local_copy(settings.clips_dir).resolve()
        if camus.is_layout(folder):
            return _camus_folder(settings, config, folder)
        return _folder(settings, config.teacher.to_dict(), echonet.find_folder(folder))
    fields = recipe.fields_of(saved) | {"data_dir": config.dataset.data_dir}
    return _split(settings, dataset.directory(fields, saved.teacher.to_dict()))


def _split(settings: EvalSettings, directory: epath.Path) -> EvaluationData:
    if settings.split not in recipe.SPLITS:
        raise UserError(
            f"config.eval.split={settings.split!r}: expected one of {', '.join(recipe.SPLITS)}"
        )
    metadata = dataset.read_metadata(directory)
    teacher = str(metadata.get("teacher"))
    return EvaluationData(
        name=settings.split,
        metadata={**metadata, "directory": str(directory), "split": settings.split},
        identity=_digest(metadata, settings.split),
        models={} if teacher == teachers.NO_TEACHER else {"teacher": teacher},
        open=lambda: Opened(dataset.open_split(directory, settings.split), _own_masks),
    )


def _folder(
    settings: EvalSettings, teacher_options: dict[str, Any], folder: pathlib.Path
) -> EvaluationData:
    split = settings.split if (folder / "FileList.csv").is_file() else None
    if split is not None and split not in (*recipe.SPLITS, ALL_CLIPS):
        raise UserError(
            f"config.eval.split={split!r}: expected one of {', '.join(recipe.SPLITS)}, or "
            f"{ALL_CLIPS!r} for every clip of {folder}"
        )
    split = None if split == ALL_CLIPS else split
    has_masks = (folder / echonet.MASK_FOLDER).is_dir()
    if has_masks and teacher_options.get("name") == "precomputed":
        teacher_options = {"weights": str(folder / echonet.MASK_FOLDER)} | {
            key: value for key, value in teacher_options.items() if value
        }
    teacher = _load(teacher_options, required=not has_masks)
    models = {"teacher": f"{echonet.MASK_FOLDER}/"} if has_masks else {}
    if teacher is not None:
        models["labeller" if has_masks else "teacher"] = teacher.fingerprint

    def masks_of(clip: Clip) -> _Masks:
        own = _own_masks(clip) if has_masks else {}
        return own | _masks_by(teacher, "labeller" if has_masks else "teacher", clip)

    return EvaluationData(
        name=_name_of(folder),
        metadata={"directory": str(folder), "split": split or ALL_CLIPS},
        identity=_digest(_listing(folder), split, models),
        models=models,
        open=lambda: _opened(
            echonet.open_folder(folder, split, show_progress=True), masks_of, settings.split
        ),
    )


def _camus_folder(
    settings: EvalSettings, config: ml_collections.ConfigDict, folder: pathlib.Path
) -> EvaluationData:
    """CAMUS as it is downloaded: readers' outlines are there, so a teacher need not be."""
    view, split = config.dataset.get("view", "4CH"), settings.split
    if split not in (*recipe.SPLITS, ALL_CLIPS):
        raise UserError(
            f"config.eval.split={split!r}: expected one of {', '.join(recipe.SPLITS)}, or "
            f"{ALL_CLIPS!r} for every patient of {folder}"
        )
    teacher = _load(config.teacher.to_dict(), required=False)
    models = {} if teacher is None else {"teacher": teacher.fingerprint}
    layout = camus.find_layout(folder)

    def open_clips() -> Opened:
        asked = None if split == ALL_CLIPS else split
        clips = camus.open_folder(folder, asked, view=view, show_progress=True)
        return _opened(clips, functools.partial(_masks_by, teacher, "teacher"), split)

    return EvaluationData(
        name=_name_of(folder) + f"_{view}" * (view != "4CH"),
        metadata={
            "directory": str(folder),
            "split": split,
            "view": view,
            "split_by": "a hash of the names" if layout.splits is None else str(layout.splits),
        },
        identity=_digest(_listing(folder), split, view, models),
        models=models,
        open=open_clips,
    )


def _name_of(folder: pathlib.Path) -> str:
    """What the evaluation on a folder is called; splits have names of their own."""
    return folder.name if folder.name not in recipe.SPLITS else f"folder_{folder.name}"


def _opened(
    clips: FolderClips | CamusClips, masks_of: Callable[[Clip], _Masks], split: str
) -> Opened:
    """The clips of a folder; those that cannot be used are told.

    Raises:
        UserError: none can be used.
    """
    for line in clips.report.lines():
        print(line)
    if not len(clips):
        raise UserError(
            f"{clips.report.folder} has no usable clip of config.eval.split={split!r}; "
            f"{ALL_CLIPS!r} takes every clip; {clips.report.num_left_out} were left out: "
            + "; ".join(f"{c['name']}: {c['reason']}" for c in clips.report.left_out()[:3])
        )
    return Opened(clips, masks_of, clips.report)


def _masks_by(teacher: Teacher | None, model: str, clip: Clip) -> _Masks:
    """A teacher's masks under the name of a model; none without a teacher."""
    if teacher is None:
        return {}
    return {model: NamedMasks(teacher.label(clip), structures_of(teacher))}


def _own_masks(clip: Clip) -> _Masks:
    """The masks that came with the clip."""
    if clip.teacher_mask is None:
        return {}
    return {"teacher": NamedMasks(clip.teacher_mask, clip.teacher_structures)}


def _load(options: dict[str, Any], *, required: bool) -> Teacher | None:
    if options.get("name") == teachers.NO_TEACHER and not required:
        return None
    try:
        return teachers.load_teacher(**options)
    except UserError as error:
        if required:
            raise
        _log.warning("the teacher is not evaluated beside the student: %s", error)
        return None


def _listing(folder: pathlib.Path) -> list[tuple[str, int, int]]:
    """Name, size and time of change of every file below a folder, in linked folders too."""
    found = []
    for _, paths in finding.files_below(folder):
        for path in paths:
            # A link may lead nowhere.
            status = path.stat() if path.exists() else path.lstat()
            found.append((str(path.relative_to(folder)), status.st_size, status.st_mtime_ns))
    return sorted(found)


def _digest(*parts: Any) -> str:
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:16]
