"""What an evaluation leaves on disk, and how it is read again.

<workdir>/evaluation/<name>/metrics.json      numbers per clip, means, intervals, protocols
<workdir>/evaluation/<name>/frames.csv        area of every mask in every frame of every clip
<workdir>/evaluation/<name>/predictions/      <number>.npz of the clips that the report shows
"""

import csv
import dataclasses
import io
import math
import pathlib
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from etils import epath
from jaxtyping import Float64

from echodfkd_jax import buckets, files
from echodfkd_jax.clips.arrays import read_arrays
from echodfkd_jax.errors import UserError
from echodfkd_jax.evaluation.evaluator import Target
from echodfkd_jax.masks import LV, file_stem
from echodfkd_jax.types import Frames, SoftMask

METRICS_FILE = "metrics.json"
FRAMES_FILE = "frames.csv"
PREDICTIONS = "predictions"


@dataclasses.dataclass(frozen=True)
class ShownClip:
    """A clip with all its masks, as the report draws it.

    Attributes:
        name: the clip's name.
        rank: why it is shown: "best", "median", "worst".
        fps: frames per second; nan when unknown.
        ed_frame: end-diastole.
        es_frame: end-systole.
        frames: the clip.
        masks: by structure, soft masks by model.
        references: by structure, frames with a reference mask and those masks.
    """

    name: str
    rank: str
    fps: float
    ed_frame: int
    es_frame: int
    frames: Frames
    masks: Mapping[str, Mapping[str, SoftMask]]
    references: Mapping[str, Target]

    def drawn(self) -> dict[str, SoftMask]:
        """The left ventricle's masks by model, the student's other structures by their names."""
        others = {name: m["student"] for name, m in self.masks.items() if name != LV}
        return {**self.masks[LV], **others}


def folder(workdir: files.PathLike, name: str) -> epath.Path:
    """Where the evaluation called `name` is."""
    return files.path_of(workdir) / "evaluation" / name


def all_folders(workdir: files.PathLike) -> list[epath.Path]:
    """The folders of all finished evaluations of a run, by name."""
    found = (files.path_of(workdir) / "evaluation").glob(f"*/{METRICS_FILE}")
    return sorted(path.parent for path in found)


def write_metrics(directory: files.PathLike, metrics: Mapping[str, Any]) -> epath.Path:
    """Writes metrics.json, whole or not at all; nan becomes null.

    Returns:
        Its path.

    Raises:
        UserError: the folder cannot be written.
    """
    return files.write_json(files.path_of(directory) / METRICS_FILE, metrics)


def read_metrics(directory: files.PathLike) -> dict[str, Any]:
    """Reads metrics.json; an empty dict where there is none.

    Raises:
        UserError: it is damaged.
    """
    path = files.path_of(directory) / METRICS_FILE
    try:
        return files.read_json(path, "delete it and run --stage=evaluate")
    except FileNotFoundError:
        return {}


def write_frames(
    directory: files.PathLike,
    curves: Iterable[tuple[str, Mapping[str, Float64[np.ndarray, "_"]]]],
    models: Sequence[str],
) -> epath.Path:
    """Writes frames.csv: clip, frame, and the area in pixels of every model's mask.

    Args:
        directory: of the evaluation.
        curves: clip's name and its areas by model; nan and models that it lacks are left empty.
        models: the columns.

    Returns:
        Its path.
    """
    table = io.StringIO(newline="")
    writer = csv.writer(table)
    writer.writerow(["clip", "frame", *(f"area_{model}_px" for model in models)])
    for name, areas in curves:
        unknown = np.full(len(next(iter(areas.values()))), math.nan)
        columns = [areas.get(model, unknown) for model in models]
        for frame, values in enumerate(zip(*columns)):
            cells = ["" if math.isnan(value) else int(value) for value in values]
            writer.writerow([name, frame, *cells])
    return files.write_text(files.path_of(directory) / FRAMES_FILE, table.getvalue())


def read_frames(directory: files.PathLike) -> dict[str, dict[str, Float64[np.ndarray, "_"]]]:
    """The areas in pixels of every clip by model, nan where there is none; see `write_frames`.

    Returns:
        Nothing where there is no such file.

    Raises:
        UserError: it is damaged.
    """
    path = files.path_of(directory) / FRAMES_FILE
    if not path.is_file():
        return {}
    found: dict[str, dict[str, list[float]]] = {}
    try:
        for row in csv.DictReader(io.StringIO(path.read_text())):
            clip = found.setdefault(row.pop("clip"), {})
            if int(row.pop("frame")) != len(next(iter(clip.values()), [])):
                raise ValueError("a frame is missing")
            for name, cell in row.items():
                area = float(cell) if cell else math.nan
                model = name.removeprefix("area_").removesuffix("_px")
                clip.setdefault(model, []).append(area)
    except (ValueError, KeyError, TypeError, AttributeError, csv.Error) as error:
        raise UserError(
            f"{path}: not written by --stage=evaluate ({error}); delete the folder and run it again"
        ) from error
    return {name: {m: np.array(a) for m, a in clip.items()} for name, clip in found.items()}


def numbers_of(clip: Mapping[str, Any]) -> dict[str, float]:
    """The numbers of a clip of metrics.json; null is nan again."""
    return {
        key: math.nan if value is None else float(value)
        for key, value in clip.items()
        if value is None or isinstance(value, int | float)
    }


def write_shown(directory: files.PathLike, clips: Iterable[ShownClip]) -> None:
    """Replaces the clips that the report shows; files are numbered, names are inside.

    Raises:
        UserError: the folder cannot be written; the clips that were there are kept.
    """
    with buckets.replacing_folder(files.path_of(directory) / PREDICTIONS) as part:
        for number, clip in enumerate(clips):
            _write_shown(part / f"{number:03d}.npz", clip)


def read_shown(directory: files.PathLike) -> list[ShownClip]:
    """The clips that `write_shown` wrote, in order; none where there are none."""
    target = files.path_of(directory) / PREDICTIONS
    if not target.is_dir():
        return []
    with buckets.fetched(target) as local:
        return [_read_shown(path) for path in sorted(local.glob("*.npz"))]


def _write_shown(path: pathlib.Path, clip: ShownClip) -> None:
    arrays: dict[str, Any] = {
        file_stem(key, structure): value
        for structure, (frames, masks) in clip.references.items()
        for key, value in (("reference_frames", frames), ("reference_masks", masks))
    }
    arrays |= {
        file_stem(f"mask_{model}", structure): mask
        for structure, masks in clip.masks.items()
        for model, mask in masks.items()
    }
    np.savez_compressed(
        path,
        name=np.array(clip.name),
        rank=np.array(clip.rank),
        fps=np.float64(clip.fps),
        phase_frames=np.array([clip.ed_frame, clip.es_frame]),
        frames=clip.frames,
        **arrays,
    )


def _read_shown(path: pathlib.Path) -> ShownClip:
    arrays = read_arrays(path)
    try:
        ed, es = arrays["phase_frames"].tolist()
        masks: dict[str, dict[str, SoftMask]] = {}
        for key in (key for key in arrays if key.startswith("mask_")):
            model, _, structure = key.removeprefix("mask_").partition(".")
            masks.setdefault(structure or LV, {})[model] = arrays[key]
        references = {
            structure: Target(
                arrays[file_stem("reference_frames", structure)],
                arrays[file_stem("reference_masks", structure)],
            )
            for structure in masks
        }
        return ShownClip(
            name=str(arrays["name"]),
            rank=str(arrays["rank"]),
            fps=float(arrays["fps"]),
            ed_frame=ed,
            es_frame=es,
            frames=arrays["frames"],
            masks=masks,
            references=references,
        )
    except (KeyError, ValueError, TypeError) as error:
        raise UserError(
            f"{path}: not written by --stage=evaluate ({error}); delete it and run it again"
        ) from error
