"""What decides the content of a prepared data set, and the name that follows from it.

A data set lies in `<data_dir>/echo_clips/<config>/<version>/`. The registered recipes have plain
names; any other gets the name it started from and a hash, so that two recipes never share a folder.
"""

import dataclasses
import hashlib
import json
import os
import pathlib
from collections.abc import Mapping
from typing import Any

import ml_collections
from etils import epath

from echodfkd_jax import files
from echodfkd_jax.clips import camus
from echodfkd_jax.errors import UserError
from echodfkd_jax.masks import LV_ALONE, Structures, check_structures

DATASET = "echo_clips"
# Version of the format on disk: features, their types and their meaning.
VERSION = "1.0.0"
SPLITS = ("train", "validation", "test")
# Frames in one of the published training windows; shorter clips cannot be trained on.
WINDOW_FRAMES = 25

# Fields of `config.dataset` that say where something is, not what it is.
_PLACES = ("name", "data_dir", "manual_dir")
_GENERATED_ONLY = ("generator", "num_train", "num_validation", "num_test", "num_frames", "seed")
_RECORDED_ONLY = ("min_frames",)
_CAMUS_ONLY = ("view",)
_OF_ALL = ("structures",)


@dataclasses.dataclass(frozen=True)
class Recipe:
    """The content of a data set.

    Attributes:
        source: "generator", "echonet_dynamic", "echonet_synthetic", "camus", "folder", or
            "package.module:Name" of somebody's own.
        teacher: the teacher's name and options as JSON; of weights, the file's name only.
        num_train: generated training clips.
        num_validation: generated validation clips.
        num_test: generated test clips.
        num_frames: frames per generated clip.
        seed: of the generated clips.
        min_frames: recorded clips with fewer frames are left out.
        generator: of generated clips.
        structures: of the teacher's masks, and of the exact ones of generated clips.
        view: of CAMUS, "4CH" or "2CH".
    """

    source: str
    teacher: str = '{"name": "unet"}'
    num_train: int = 0
    num_validation: int = 0
    num_test: int = 0
    num_frames: int = 0
    seed: int = 0
    min_frames: int = 0
    generator: str = "phantom"
    structures: Structures = LV_ALONE
    view: str = "4CH"

    @property
    def reference_structures(self) -> Structures:
        """Of the reference masks: of recorded clips those that somebody traced."""
        if self.is_camus:
            return camus.STRUCTURES
        return self.structures if self.is_generated or self.is_own else LV_ALONE

    @property
    def is_generated(self) -> bool:
        """Whether the clips come from the generator rather than from files."""
        return self.source == "generator"

    @property
    def is_camus(self) -> bool:
        """Whether the clips are those of CAMUS, or in its layout."""
        return self.source == "camus"

    @property
    def is_own(self) -> bool:
        """Whether the clips come from a class of somebody's own."""
        return ":" in self.source

    def to_json(self) -> dict[str, Any]:
        """All fields; `structures` and `view` only where they say something."""
        fields = dataclasses.asdict(self)
        if not self.is_camus:
            del fields["view"]
        if self.structures == LV_ALONE:
            del fields["structures"]
        return fields

    @property
    def digest(self) -> str:
        """8 hex digits of everything that differs from what it always was."""
        fields = self.to_json()
        if self.generator == "phantom":
            del fields["generator"]
        return hashlib.sha256(json.dumps(fields, sort_keys=True).encode()).hexdigest()[:8]


def _generated(num_train: int, num_validation: int, num_test: int, num_frames: int) -> Recipe:
    return Recipe(
        source="generator",
        num_train=num_train,
        num_validation=num_validation,
        num_test=num_test,
        num_frames=num_frames,
    )


# The published teacher, by the name its authors gave the file.
_PUBLISHED_TEACHER = '{"name": "deeplabv3", "weights": "deeplabv3_resnet50_random.pt"}'

REGISTERED = {
    "synthetic": _generated(400, 40, 100, 64),
    "synthetic_smoke": _generated(8, 4, 4, 32),
    # As many clips and frames as EchoNet-Synthetic has.
    "synthetic_paper": _generated(7465, 1288, 1277, 192),
    "echonet_dynamic": Recipe("echonet_dynamic", _PUBLISHED_TEACHER, min_frames=WINDOW_FRAMES),
    "echonet_synthetic": Recipe("echonet_synthetic", _PUBLISHED_TEACHER, min_frames=WINDOW_FRAMES),
    # Half of a beat; learnt from its readers' outlines.
    "camus": Recipe("camus", '{"name": "none"}', min_frames=2, structures=camus.STRUCTURES),
    "folder": Recipe("folder", min_frames=WINDOW_FRAMES),
}


def fields_of(config: ml_collections.ConfigDict) -> dict[str, Any]:
    """What `resolve` takes of a configuration: `config.dataset` and `config.structures`."""
    return {**config.dataset.to_dict(), "structures": config.get("structures", LV_ALONE)}


def resolve(dataset: Mapping[str, Any], teacher: Mapping[str, Any]) -> tuple[str, Recipe]:
    """The recipe that a configuration asks for, and its name.

    Args:
        dataset: of `fields_of`: `name`, one of `REGISTERED`, and whatever differs from it. Fields
            that do not matter for that source are not looked at.
        teacher: `config.teacher`: `name` and options; empty: the registered recipe's teacher.

    Returns:
        The name of a registered recipe if the result equals it, otherwise `<name>_<8 hex>`; and
        the recipe.

    Raises:
        UserError: an unknown name or field, or a number that makes no data set.
    """
    name = dataset.get("name", "")
    if name not in REGISTERED and ":" not in name:
        raise UserError(
            f"config.dataset.name={name!r} is unknown; use one of {', '.join(REGISTERED)}, or "
            "'package.module:Name' of your own"
        )
    base = REGISTERED.get(name) or Recipe(source=name)
    asked = {field: value for field, value in dataset.items() if field not in _PLACES}
    for field in asked:
        if field not in (*_GENERATED_ONLY, *_RECORDED_ONLY, *_CAMUS_ONLY, *_OF_ALL):
            raise UserError(
                f"config.dataset.{field} is unknown; known fields are "
                f"{', '.join((*_PLACES, *_GENERATED_ONLY, *_RECORDED_ONLY, *_CAMUS_ONLY))}"
            )
    relevant = _GENERATED_ONLY if base.is_generated else _RECORDED_ONLY
    relevant = _OF_ALL + (() if base.is_own else relevant) + _CAMUS_ONLY * base.is_camus
    changes = {field: asked[field] for field in relevant if field in asked}
    for field, value in changes.items():
        if field == "structures":
            changes[field] = check_structures(value)
        if field == "view" and value not in camus.VIEWS:
            expected = " or ".join(camus.VIEWS)
            raise UserError(f"config.dataset.view={value!r}: expected {expected}")
        if field in ("generator", "structures", "view"):
            continue
        least = 0 if field == "seed" else 1
        if not isinstance(value, int) or not least <= value < 2**31:
            raise UserError(f"config.dataset.{field}={value}: expected an integer from {least}")
    if teacher:
        changes["teacher"] = json.dumps(_identity(teacher), sort_keys=True)
    recipe = dataclasses.replace(base, **changes)
    for registered_name, registered in REGISTERED.items():
        if recipe == registered:
            return registered_name, recipe
    return f"{name.rpartition(':')[2].lower()}_{recipe.digest}", recipe


def root(data_dir: str) -> epath.Path:
    """Where data sets lie: `data_dir`, or tfds' own default when it is empty."""
    default = os.environ.get("TFDS_DATA_DIR") or "~/tensorflow_datasets"
    return files.absolute(data_dir or default)


def _identity(options: Any) -> Any:
    """A teacher's options without empty ones and without the folders of its weights.

    A file that is moved is still the same teacher; whether its content is the same is told by the
    fingerprint in the data set's metadata.
    """
    if isinstance(options, Mapping):
        return {
            key: pathlib.PurePath(value).name if key == "weights" else _identity(value)
            for key, value in options.items()
            if value not in ("", None, (), [])
        }
    if isinstance(options, list | tuple):
        return [_identity(option) for option in options]
    return options
