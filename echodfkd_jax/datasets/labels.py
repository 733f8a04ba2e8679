"""Teacher's masks for the clips of a shard, kept on disk until the data set is complete."""

import dataclasses
import functools
import hashlib
import json
import pathlib
import zipfile
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

import numpy as np

from echodfkd_jax import buckets, files
from echodfkd_jax.clips import echonet
from echodfkd_jax.datasets import prepared as dataset
from echodfkd_jax.datasets.recipe import Recipe
from echodfkd_jax.masks import Structures, pick_structures
from echodfkd_jax.teachers import NO_TEACHER
from echodfkd_jax.types import Clip, SoftMasks

KeyExample = tuple[str, dict[str, Any]]


@dataclasses.dataclass(frozen=True)
class LazyTeacher:
    """A teacher that is loaded where and when it is first needed; picklable.

    Attributes:
        options: what `load_teacher` takes, as JSON.
    """

    options: str

    @classmethod
    def from_options(cls, options: Mapping[str, Any], folder: pathlib.Path | None) -> "LazyTeacher":
        """A teacher as a configuration names it.

        Args:
            options: `config.teacher`. Relative paths of weights are looked for in the current
                folder, then in `folder`; precomputed masks without a path are those in the clips'
                own folder.
            folder: of the clips (tfds' manual_dir); None for generated ones.
        """
        options = {key: value for key, value in options.items() if value not in ("", None)}
        if files.is_bucket(options.get("weights", "")):
            options["weights"] = str(buckets.local_copy(options["weights"]))
        if folder is not None:
            weights = options.get("weights", "")
            if options.get("name") == "precomputed" and not weights:
                options["weights"] = str(echonet.find_folder(folder) / echonet.MASK_FOLDER)
            elif weights and not pathlib.Path(weights).exists() and (folder / weights).exists():
                options["weights"] = str(folder / weights)
        return cls(json.dumps(options, sort_keys=True))

    @property
    def mask_folder(self) -> pathlib.Path | None:
        """Where the masks are if they were made before; None for a network."""
        options = json.loads(self.options)
        if options.get("name") != "precomputed":
            return None
        return pathlib.Path(options.get("weights", ""))

    @property
    def is_none(self) -> bool:
        """Whether clips are not labelled at all."""
        return json.loads(self.options).get("name") == NO_TEACHER

    @property
    def fingerprint(self) -> str:
        """The teacher's own; loads it."""
        return NO_TEACHER if self.is_none else self._teacher.fingerprint

    def label(self, clip: Clip, structures: Structures) -> SoftMasks:
        """uint8 (t, h, w, s), 255 * probability.

        Raises:
            UserError: it does not outline one of them.
        """
        from echodfkd_jax.teachers.base import structures_of

        known, teacher = structures_of(self._teacher), self._teacher
        return pick_structures(
            teacher.label(clip), known, structures, f"teacher {teacher.fingerprint!r}"
        )

    @functools.cached_property
    def _teacher(self) -> Any:
        from echodfkd_jax import teachers

        return teachers.load_teacher(**json.loads(self.options))

    def __getstate__(self) -> dict[str, Any]:
        return {"options": self.options}


@dataclasses.dataclass(frozen=True)
class LabelCache:
    """Masks already made, one file per clip: labelling is what takes long.

    Attributes:
        folder: of the files; made when the first is written.
    """

    folder: pathlib.Path

    @classmethod
    def for_identities(cls, parent: pathlib.Path, identities: Mapping[str, str]) -> "LabelCache":
        """A cache below `parent` that no other teacher, generator or clips can share."""
        digest = hashlib.sha256(json.dumps(identities, sort_keys=True).encode())
        return cls(parent / digest.hexdigest()[:12])

    def get(self, clip: Clip, num_structures: int) -> SoftMasks | None:
        """The masks kept for a clip, or None."""
        try:
            with self._path(clip).open("rb") as file, np.load(file) as archive:
                mask = archive["mask"]
        except FileNotFoundError:
            return None
        # A power cut can leave a file of zeros behind, whatever the order of writes was.
        except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile, zlib.error):
            return None
        return mask if mask.shape == (*clip.frames.shape, num_structures) else None

    def put(self, clip: Clip, mask: SoftMasks) -> None:
        """Keeps a mask, whole or not at all."""
        with files.replacing(self._path(clip)) as file:
            np.savez_compressed(file, mask=mask)

    def _path(self, clip: Clip) -> pathlib.Path:
        return self.folder / f"{clip.name}.npz"


@dataclasses.dataclass(frozen=True)
class LabelledShard:
    """Makes the examples of one shard when it is called, as tfds wants it.

    Attributes:
        clips: of the shard.
        teacher: labels those clips that have no mask yet.
        cache: where labels are kept.
        recipe: says which structures the masks are of.
        on_clip: called after each clip, to show how far it is.
    """

    clips: Iterable[Clip]
    teacher: LazyTeacher
    cache: LabelCache
    recipe: Recipe
    on_clip: Callable[[], Any]

    def __call__(self) -> Iterator[KeyExample]:
        """Yields a clip's name and its features, clip by clip."""
        for clip in self.clips:
            clip = self._labelled(clip)
            yield clip.name, dataset.to_example(clip)
            self.on_clip()

    def _labelled(self, clip: Clip) -> Clip:
        """The clip with the teacher's masks and its references, both of the recipe's structures."""
        structures, wanted = self.recipe.structures, self.recipe.reference_structures
        reference = np.zeros((0, *clip.frames.shape[1:], len(wanted)), bool)
        if len(clip.reference_frames):
            reference = pick_structures(
                clip.reference_masks, clip.reference_structures, wanted, f"clip {clip.name}"
            )
        mask = clip.teacher_mask
        if mask is not None:
            whose = f"clip {clip.name}, with masks of its own,"
            mask = pick_structures(mask, clip.teacher_structures, structures, whose)
        elif not self.teacher.is_none:
            mask = self.cache.get(clip, len(structures))
        if mask is None and not self.teacher.is_none:
            mask = self.teacher.label(clip, structures)
            self.cache.put(clip, mask)
        return dataclasses.replace(
            clip,
            teacher_mask=mask,
            teacher_structures=structures,
            reference_masks=reference,
            reference_structures=wanted,
        )
