"""Frames and labels as NIfTI, for ITK-SNAP, 3D Slicer and whatever reads CAMUS.

`<name>.nii.gz` are the frames, `<name>.seg.nii.gz` the labels, both (x, y, 1, t): a picture, one
slice deep, over time. Where masks overlap the surer one has the pixel.
"""

import gzip
import json
import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from jaxtyping import UInt8

import echodfkd_jax
from echodfkd_jax.interop.viewers import formats
from echodfkd_jax.interop.viewers.formats import Outlined
from echodfkd_jax.masks import MASK_THRESHOLD

# Of a header extension that holds text.
_COMMENT = 6


class Nifti:
    """See `formats.Format`."""

    def __init__(self) -> None:
        """Raises UserError where nibabel is missing."""
        self._nibabel = formats.require("nibabel", "NIfTI")

    def files(self, clip: Outlined) -> Mapping[str, bytes]:
        """Frames and labels on one grid."""
        numbers = {s: formats.number_of(s, clip.structures) for s in clip.structures}
        about = {
            "made_by": f"echodfkd_jax {echodfkd_jax.__version__}",
            "labels": {str(number): formats.words_of(name) for name, number in numbers.items()},
            "pixel_spacing_mm": clip.spacing_mm if math.isfinite(clip.spacing_mm) else None,
            "fps": clip.fps if math.isfinite(clip.fps) else None,
            "notice": clip.notice,
        }
        return {
            ".nii.gz": self._image(clip.frames, clip, about, is_label=False),
            ".seg.nii.gz": self._image(labels(clip, numbers), clip, about, is_label=True),
        }

    def _image(
        self, values: UInt8[np.ndarray, "t h w"], clip: Outlined, about: Any, *, is_label: bool
    ) -> bytes:
        known, timed = math.isfinite(clip.spacing_mm), math.isfinite(clip.fps)
        side = clip.spacing_mm if known else 1.0
        # x runs to the picture's right and y down; where that is in the patient nobody knows.
        image = self._nibabel.Nifti1Image(values.transpose(2, 1, 0)[:, :, None], None)
        image.header.set_zooms((side, side, 1.0, 1 / clip.fps if timed else 1.0))
        # Units of 1 that mean nothing are called unknown, so that nobody takes them for mm.
        image.header.set_xyzt_units("mm" if known else "unknown", "sec" if timed else "unknown")
        image.header["descrip"] = b"echodfkd_jax; research, not for diagnosis"
        if is_label:
            image.header.set_intent("label")
        text = json.dumps(about).encode()
        image.header.extensions.append(self._nibabel.nifti1.Nifti1Extension(_COMMENT, text))
        return gzip.compress(image.to_bytes(), mtime=0)


def labels(clip: Outlined, numbers: Mapping[str, int]) -> UInt8[np.ndarray, "t h w"]:
    """The number of the structure that each pixel belongs to; 0: none."""
    found = np.zeros(clip.frames.shape, np.uint8)
    surest = np.full(clip.frames.shape, MASK_THRESHOLD, np.uint8)
    for structure, number in numbers.items():
        mask = clip.masks(structure)
        won = mask > surest
        found[won] = number
        surest[won] = mask[won]
    return found
