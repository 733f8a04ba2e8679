"""Prepared data sets: where they are, whether they are what was asked for, and their clips.

`--stage=prepare` or `tfds build data/echo_clips` makes them. They are read through tfds' data
source over ArrayRecord, without TensorFlow.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
from etils import epath

from echodfkd_jax import buckets, files
from echodfkd_jax.datasets import recipe as recipes
from echodfkd_jax.errors import UserError
from echodfkd_jax.masks import LV_ALONE, Structures
from echodfkd_jax.types import Clip

# The file that tfds writes last.
COMPLETE = "dataset_info.json"
# Metadata by which two data sets of one name can still differ, and what it is called in messages.
IDENTITIES = {
    "teacher": "teacher",
    "generator_version": "generator version",
    "source": "clips",
}


class ClipSource:
    """Random access to the clips of one split; picklable, so that worker processes can read it.

    Attributes:
        directory: the data set.
        split: "train", "validation" or "test".
    """

    def __init__(self, directory: files.PathLike, split: str) -> None:
        self.directory = directory
        self.split = split
        self._records: Any = None
        self._names: tuple[Structures, Structures] | None = None

    def __len__(self) -> int:
        return len(self._open())

    def __getitem__(self, index: int) -> Clip:
        """Reads and decodes a clip.

        Raises:
            IndexError: there is no clip with this index.
        """
        records = self._open()
        if not 0 <= index < len(records):
            raise IndexError(f"clip {index} of {len(records)} in {self.split}")
        return _to_clip(records[index], *self._structures())

    def _structures(self) -> tuple[Structures, Structures]:
        """Of the teacher's masks and of the references, as the recipe says."""
        if self._names is None:
            self._names = structures_of(read_metadata(self.directory))
        return self._names

    def __getstate__(self) -> dict[str, Any]:
        return {"directory": self.directory, "split": self.split}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__init__(**state)

    def _open(self) -> Any:
        if self._records is None:
            # tfds takes a second to import, and its file handles cannot be pickled.
            import tensorflow_datasets as tfds

            builder = tfds.builder_from_directory(str(self.directory))
            # tfds' decorator hides the method's signature.
            self._records = builder.as_data_source(split=self.split)  # pyright: ignore[reportCallIssue]
        return self._records


def directory(dataset: Mapping[str, Any], teacher: Mapping[str, Any]) -> epath.Path:
    """Where the data set of a configuration is, or will be.

    Args:
        dataset: `config.dataset`, as a dictionary.
        teacher: `config.teacher`, as a dictionary.

    Raises:
        UserError: the configuration describes no data set.
    """
    name, _ = recipes.resolve(dataset, teacher)
    root = recipes.root(dataset.get("data_dir", ""))
    return root / recipes.DATASET / name / recipes.VERSION


def is_prepared(directory: files.PathLike) -> bool:
    """Whether there is a data set; it is moved into place, or marked, when it is complete."""
    return (files.path_of(directory) / COMPLETE).is_file()


def read_metadata(directory: files.PathLike) -> dict[str, Any]:
    """What the data set was made from: `teacher` (fingerprint), `generator_version`, `recipe`, ...

    Raises:
        UserError: there is no data set, or its metadata are damaged.
    """
    if not is_prepared(directory):
        raise UserError(
            f"{directory}: no data set; make it with --stage=prepare, or set "
            "config.dataset.data_dir to where it is"
        )
    path = files.path_of(directory) / "metadata.json"
    try:
        return files.read_json(path, "delete its folder and run --stage=prepare")
    except FileNotFoundError as error:
        raise UserError(f"{path}: is missing; delete its folder and run --stage=prepare") from error


def structures_of(metadata: Mapping[str, Any]) -> tuple[Structures, Structures]:
    """What the teacher's masks and the reference masks of a data set are of.

    Args:
        metadata: of `read_metadata`.
    """
    fields = metadata.get("recipe", {})
    names = tuple(fields.get("structures", LV_ALONE))
    made = recipes.Recipe(fields.get("source", "generator"), structures=names)
    return made.structures, made.reference_structures


def check_metadata(directory: files.PathLike, expected: Mapping[str, str]) -> None:
    """Refuses a data set that was made from something else.

    Args:
        directory: the data set.
        expected: some of `IDENTITIES`' keys and the values they should have.

    Raises:
        UserError: there is no data set, or it was made with another teacher, generator version, or
            from other clips.
    """
    found = read_metadata(directory)
    for key, value in expected.items():
        if found.get(key) != value:
            raise UserError(
                f"{directory}: made with {IDENTITIES[key]} {found.get(key)}, asked for {value}; "
                "delete this folder and run --stage=prepare, or set another config.dataset.data_dir"
            )


def open_split(
    directory: files.PathLike, split: str, *, expected: Mapping[str, str] | None = None
) -> ClipSource:
    """Opens one split of a data set.

    Args:
        directory: the data set, as `directory(...)` names it.
        split: "train", "validation" or "test".
        expected: as for `check_metadata`.

    Raises:
        UserError: as `check_metadata`, or an unknown split.
    """
    if split not in recipes.SPLITS:
        raise UserError(f"split {split!r} is unknown; use one of {', '.join(recipes.SPLITS)}")
    check_metadata(directory, expected or {})
    return ClipSource(buckets.local_copy(directory), split)


def to_example(clip: Clip) -> dict[str, Any]:
    """A clip as the data set's features have it; the inverse of what reading does."""
    mask = clip.teacher_mask
    if mask is None:  # Masks of no frame, as there is no other nothing in a record.
        size = clip.frames.shape[1:]
        mask = np.zeros((0, *size, len(clip.teacher_structures)), np.uint8)
    return {
        "clip_id": clip.name,
        "frames": clip.frames[..., None],
        "teacher_mask": mask,
        "reference_masks": clip.reference_masks.astype(np.uint8),
        "reference_frames": clip.reference_frames.astype(np.int32),
        "fps": np.float32(clip.fps),
        "ef": np.float32(clip.ef_percent),
        "edv": np.float32(clip.edv_ml),
        "esv": np.float32(clip.esv_ml),
        "ed_frame": np.int32(clip.ed_frame),
        "es_frame": np.int32(clip.es_frame),
    }


def _to_clip(example: Mapping[str, Any], structures: Structures, reference: Structures) -> Clip:
    name, mask = example["clip_id"], example["teacher_mask"]
    return Clip(
        name=name.decode() if isinstance(name, bytes) else str(name),
        frames=example["frames"][..., 0],
        fps=float(example["fps"]),
        ef_percent=float(example["ef"]),
        edv_ml=float(example["edv"]),
        esv_ml=float(example["esv"]),
        ed_frame=int(example["ed_frame"]),
        es_frame=int(example["es_frame"]),
        reference_frames=np.asarray(example["reference_frames"]),
        reference_masks=example["reference_masks"].astype(bool),
        teacher_mask=mask if len(mask) else None,
        reference_structures=reference,
        teacher_structures=structures,
    )
