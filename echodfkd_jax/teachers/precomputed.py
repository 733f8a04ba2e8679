"""Masks made before, by whatever made them, as a teacher.

    config.teacher = {"name": "precomputed", "weights": "masks/"}

The folder holds one file per clip, named as the clip (`<name>.seg.npz` or `<name>.npy`, of the
shapes and types that `clips.mask_files` reads). Where there are more structures than the left
ventricle, `config.teacher.structures` names them, and the others have files of their own:
`<name>.<structure>.seg.npz`.
"""

import dataclasses
import functools
import hashlib
import pathlib
import zipfile
import zlib
from collections.abc import Sequence

import numpy as np
from jaxtyping import Array, Float32, UInt8

from echodfkd_jax.clips.mask_files import SUFFIXES, find_mask_file, read_masks
from echodfkd_jax.errors import UserError
from echodfkd_jax.masks import LV_ALONE, Structures, check_structures, file_stem
from echodfkd_jax.teachers.base import FrameTeacher
from echodfkd_jax.types import Clip


@dataclasses.dataclass(frozen=True, eq=False)
class PrecomputedTeacher(FrameTeacher):
    """Looks a clip's masks up by its name.

    Attributes:
        directory: the folder of mask files.
        names: the structures that have files.
        name: "precomputed".
    """

    directory: pathlib.Path
    names: Structures = LV_ALONE
    name: str = "precomputed"

    @functools.cached_property
    def fingerprint(self) -> str:
        """Name and hash of all mask files' names and checksums (reads `.npy` files whole)."""
        digest = hashlib.sha256()
        for path in sorted(self.directory.iterdir()):
            if path.name.endswith(SUFFIXES):
                digest.update(f"{path.name} {_checksum(path):08x}\n".encode())
        return f"precomputed-{digest.hexdigest()[:12]}"

    @property
    def structures(self) -> Structures:
        """What there are files of."""
        return self.names

    def clip_probabilities(self, clip: Clip) -> Float32[np.ndarray, "t h w s"]:
        """The stored masks of a clip, as probabilities.

        Raises:
            UserError: there is no file for the clip, or its masks are not the clip's size.
        """
        return np.stack([self._one(clip, structure) for structure in self.names], axis=-1)

    def _one(self, clip: Clip, structure: str) -> Float32[np.ndarray, "t h w"]:
        stem = file_stem(clip.name, structure)
        path = find_mask_file(self.directory, stem)
        if path is None:
            raise UserError(
                f"{self.directory}: no masks for clip {clip.name}; expected {stem}.seg.npz or "
                f"{stem}.npy"
            )
        masks = read_masks(path)
        if masks.shape != clip.frames.shape:
            raise UserError(
                f"{path}: masks of shape {masks.shape} for a clip of shape {clip.frames.shape} "
                "(frames, height, width); make them for the clip as it is used"
            )
        return masks.astype(np.float32) / 255

    def __call__(self, frames: UInt8[np.ndarray | Array, "n h w"]) -> Float32[Array, "n h w s"]:
        """Always a UserError: frames alone do not tell which clip they are of."""
        raise _needs_names()

    def apply_fn(self, frames: Float32[Array, "n h w"]) -> Float32[Array, "n h w s"]:
        """Always a UserError, as `__call__`."""
        raise _needs_names()


def load(weights: str = "", *, structures: Sequence[str] = LV_ALONE) -> PrecomputedTeacher:
    """The teacher over a folder of mask files.

    Args:
        weights: the folder; it takes the place that a network's weights have in a config.
        structures: that have files, the left ventricle first.

    Raises:
        UserError: `weights` is no folder, or holds no mask file.
    """
    directory = pathlib.Path(weights)
    if not weights or not directory.is_dir():
        raise UserError(
            f"config.teacher.weights={weights!r} is no folder; the precomputed teacher needs the "
            "folder of its mask files"
        )
    if not any(path.name.endswith(SUFFIXES) for path in directory.iterdir()):
        raise UserError(
            f"{directory}: no mask files; expected <clip name>.seg.npz or <clip name>.npy"
        )
    return PrecomputedTeacher(directory, check_structures(structures))


def _checksum(path: pathlib.Path) -> int:
    """CRC-32 of a mask file's content, without reading it where a zip directory has it."""
    if path.suffix == ".npz":
        try:
            with zipfile.ZipFile(path) as archive:
                return zlib.crc32(repr([info.CRC for info in archive.infolist()]).encode())
        except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError) as error:
            raise UserError(f"{path}: damaged, or no .npz file ({error})") from error
    return zlib.crc32(path.read_bytes())


def _needs_names() -> UserError:
    return UserError(
        "config.teacher.name='precomputed' finds masks by the clip's name, and generated frames "
        "have none; use it for clips on disk"
    )
