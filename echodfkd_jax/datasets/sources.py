"""Where the clips of a data set come from, cut into splits and shards."""

import dataclasses
import functools
import hashlib
import math
import pathlib
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Protocol, runtime_checkable

import jax
import jax.numpy as jnp
import numpy as np

from echodfkd_jax import seams
from echodfkd_jax.clips import camus, echonet, entries, splitting
from echodfkd_jax.clips.entries import FRAME_SIZE_PX
from echodfkd_jax.datasets import generators
from echodfkd_jax.datasets import recipe as recipes
from echodfkd_jax.errors import UserError
from echodfkd_jax.masks import LV_ALONE, Structures
from echodfkd_jax.types import Clip, Clips

__all__ = ["FRAME_SIZE_PX", "GeneratedClips", "RecordedClips", "Source", "open_source"]

# Generated in one call; fewer clips the longer they are, a power of two that divides a shard.
FRAMES_PER_CALL = 512


@dataclasses.dataclass(frozen=True)
class GeneratedClips:
    """Clips from the generator; each depends on the seed, its split and its own number only.

    Attributes:
        split: one of `recipe.SPLITS`.
        seed: of the data set.
        num_frames: per clip.
        start: number of the first clip.
        stop: number after the last.
        generator: as `config.dataset.generator` names it.
        structures: whose exact masks the clips have.
    """

    split: str
    seed: int
    num_frames: int
    start: int
    stop: int
    generator: str = "phantom"
    structures: Structures = LV_ALONE

    def __len__(self) -> int:
        return self.stop - self.start

    def cut(self, size: int) -> list["GeneratedClips"]:
        """Parts of at most `size` clips."""
        return [
            dataclasses.replace(self, start=start, stop=min(start + size, self.stop))
            for start in range(self.start, self.stop, size)
        ]

    def __iter__(self) -> Iterator[Clip]:
        split_key = jax.random.fold_in(jax.random.key(self.seed), recipes.SPLITS.index(self.split))
        batch_size = 2 ** int(math.log2(max(1, min(32, FRAMES_PER_CALL // self.num_frames))))
        generator = generators.find_generator(self.generator)
        make = _make_batch(generator, self.num_frames, self.structures, train=self.split == "train")
        for start in range(self.start, self.stop, batch_size):
            # The last batch is as large as the others, so that nothing is compiled twice.
            made = jax.device_get(make(split_key, jnp.arange(start, start + batch_size)))
            for row in range(min(batch_size, self.stop - start)):
                clip, masks = jax.tree.map(lambda batch, row=row: batch[row], made)
                name = f"{self.split}_{start + row:06d}"
                yield _to_clip(name, clip, masks, self.structures)


@dataclasses.dataclass(frozen=True)
class RecordedClips:
    """Clips from files.

    Attributes:
        entries: the clips, not read yet.
    """

    entries: tuple[entries.Entry, ...]

    def __len__(self) -> int:
        return len(self.entries)

    def cut(self, size: int) -> list["RecordedClips"]:
        """Parts of at most `size` clips."""
        starts = range(0, len(self.entries), size)
        return [RecordedClips(self.entries[start : start + size]) for start in starts]

    def __iter__(self) -> Iterator[Clip]:
        return map(entries.read, self.entries)


@runtime_checkable
class ClipSource(Protocol):
    """Clips by split; somebody's own is a class that is made with `manual_dir`'s folder, or None.

    One that leaves clips out has an attribute `report`, a `LayoutReport`, besides.

    Attributes:
        identity: tells these clips from others; part of the data set's metadata.
    """

    @property
    def identity(self) -> str:
        """See the class."""
        ...

    def split(self, name: str) -> Clips:
        """The clips of "train", "validation" or "test": their number, and each by its index.

        A clip that has a `teacher_mask` is not labelled again.
        """
        ...


@dataclasses.dataclass(frozen=True)
class IndexedClips:
    """Clips that are made or read when they are asked for.

    Attributes:
        clips: all of a split.
        start: index of the first one here.
        stop: index after the last.
    """

    clips: Clips
    start: int
    stop: int

    def __len__(self) -> int:
        return self.stop - self.start

    def cut(self, size: int) -> list["IndexedClips"]:
        """Parts of at most `size` clips."""
        return [
            IndexedClips(self.clips, start, min(start + size, self.stop))
            for start in range(self.start, self.stop, size)
        ]

    def __iter__(self) -> Iterator[Clip]:
        return (self.clips[index] for index in range(self.start, self.stop))


@dataclasses.dataclass(frozen=True)
class Source:
    """The clips of all splits.

    Attributes:
        splits: the clips by split.
        identities: what tells these clips from others, for the data set's metadata.
        report: what became of every clip of a folder; None for generated clips.
        summary: the same in one line.
    """

    splits: dict[str, GeneratedClips | RecordedClips | IndexedClips]
    identities: dict[str, str]
    report: dict[str, Any] | None = None
    summary: str = ""


def open_source(
    recipe: recipes.Recipe, folder: pathlib.Path | None, mask_folder: pathlib.Path | None
) -> Source:
    """Opens the clips of a recipe.

    Args:
        recipe: what is asked for.
        folder: of recorded clips; None for generated ones.
        mask_folder: of masks that are to be used as they are: clips without a fitting one are left
            out, the others carry it. None: no clip carries a mask.

    Raises:
        UserError: the folder or its tables are missing or wrong.
    """
    if recipe.is_generated:
        return _open_generated(recipe)
    if recipe.is_own or recipe.is_camus:
        return _open_by_split(find_source(recipe, folder))
    assert folder is not None  # Recorded clips are in one.
    root = echonet.find_folder(folder)
    if recipe.source != "folder" and not (root / "FileList.csv").is_file():
        raise UserError(f"{folder}: no FileList.csv there or one or two folders below it")
    clips = echonet.open_folder(
        root, min_frames=recipe.min_frames, mask_folder=mask_folder, show_progress=True
    )
    usable = list(clips.entries)
    if mask_folder is None:
        usable = [dataclasses.replace(entry, mask_path=None) for entry in usable]
    else:
        for entry in usable:
            if entry.mask_path is None:
                clips.report.note("no_mask", entry.row.name)
        usable = [entry for entry in usable if entry.mask_path is not None]
        clips.report.num_used = len(usable)
    parts = _partition(root, usable)
    return Source(
        splits={split: RecordedClips(tuple(parts[split])) for split in recipes.SPLITS},
        identities=identities(recipe, root),
        report=clips.report.to_json(),
        summary=clips.report.summary(),
    )


def find_source(recipe: recipes.Recipe, folder: pathlib.Path | None) -> ClipSource:
    """The clips of a class: CAMUS, or one of somebody's own.

    Args:
        recipe: names it.
        folder: `config.dataset.manual_dir`; None where that is empty.

    Raises:
        UserError: there is no such class.
    """
    if recipe.is_camus:
        assert folder is not None  # Recorded clips are in one.
        return camus.Camus(folder, view=recipe.view, min_frames=recipe.min_frames)
    return seams.find("config.dataset.name", recipe.source, {})(folder)


def identities(recipe: recipes.Recipe, folder: pathlib.Path | None) -> dict[str, str]:
    """What tells the clips of a recipe from others, for the data set's metadata.

    Args:
        recipe: what is asked for.
        folder: of recorded clips; None for generated ones.

    Raises:
        UserError: there is no such generator, class or folder.
    """
    if recipe.is_generated:
        return {"generator_version": generators.find_generator(recipe.generator).version}
    if recipe.is_own or recipe.is_camus:
        return {"source": find_source(recipe, folder).identity}
    assert folder is not None  # Recorded clips are in one.
    return {"source": folder_fingerprint(folder)}


def folder_fingerprint(folder: pathlib.Path) -> str:
    """12 hex digits from the tables' content and the videos' names and sizes."""
    root = echonet.find_folder(folder)
    digest = hashlib.sha256()
    for name in ("FileList.csv", "VolumeTracings.csv"):
        if (root / name).is_file():
            digest.update((root / name).read_bytes())
    for name, path in sorted(echonet.find_videos(root).items()):
        digest.update(f"{name} {path.stat().st_size}\n".encode())
    return digest.hexdigest()[:12]


def _open_generated(recipe: recipes.Recipe) -> Source:
    numbers = (recipe.num_train, recipe.num_validation, recipe.num_test)
    return Source(
        splits={
            split: GeneratedClips(
                split,
                recipe.seed,
                recipe.num_frames,
                0,
                number,
                recipe.generator,
                recipe.structures,
            )
            for split, number in zip(recipes.SPLITS, numbers, strict=True)
        },
        identities=identities(recipe, None),
    )


def _open_by_split(source: ClipSource) -> Source:
    splits = {}
    for split in recipes.SPLITS:
        clips = source.split(split)
        splits[split] = IndexedClips(clips, 0, len(clips))
    report = getattr(source, "report", None)
    return Source(
        splits=splits,
        identities={"source": source.identity},
        report=report and report.to_json(),
        summary=report.summary() if report else "",
    )


def _partition(
    root: pathlib.Path, usable: Sequence[entries.Entry]
) -> dict[str, list[entries.Entry]]:
    """By FileList.csv, else by folders named like the splits, else by a hash of the names."""
    table_names = {table: split for split, table in echonet.SPLIT_NAMES.items()}
    parts: dict[str, list[entries.Entry]] = {split: [] for split in recipes.SPLITS}
    if (root / "FileList.csv").is_file():
        for entry in usable:
            parts[table_names[entry.row.split]].append(entry)
        return parts
    folders = [_split_folder(root, entry.path) for entry in usable]
    if any(folders):
        for entry, split in zip(usable, folders, strict=True):
            if split:
                parts[split].append(entry)
        return parts
    by_name = {entry.row.name: entry for entry in usable}
    for name, split in splitting.by_hash(by_name).items():
        parts[split].append(by_name[name])
    return parts


def _split_folder(root: pathlib.Path, path: pathlib.Path) -> str | None:
    """The split whose name a folder above a clip has."""
    above = path.relative_to(root).parts[:-1]
    return next((part.lower() for part in above if part.lower() in recipes.SPLITS), None)


@functools.cache
def _make_batch(
    generator: generators.Generator, num_frames: int, structures: Structures, *, train: bool
) -> Callable[..., Any]:
    """The generator, compiled for many clip numbers at once; gives clips and exact masks."""

    @jax.jit
    def make(split_key: jax.Array, numbers: jax.Array) -> Any:
        keys = jax.vmap(jax.random.fold_in, in_axes=(None, 0))(split_key, numbers)

        def one(key: jax.Array) -> Any:
            clip = generator.make(key, num_frames=num_frames, train=train)
            return clip, generators.exact_masks(generator, clip, structures)

        return jax.vmap(one)(keys)

    return make


def _to_clip(name: str, made: Any, masks: Any, structures: Structures) -> Clip:
    """A generated clip in host memory; its masks are exact on every frame."""
    return Clip(
        name=name,
        frames=np.asarray(made.frames),
        fps=float(made.fps),
        ef_percent=float(made.ef_percent),
        edv_ml=float(made.edv_ml),
        esv_ml=float(made.esv_ml),
        ed_frame=int(made.ed_frame),
        es_frame=int(made.es_frame),
        reference_frames=np.arange(len(made.frames), dtype=np.int32),
        reference_masks=np.asarray(masks),
        reference_structures=structures,
    )
