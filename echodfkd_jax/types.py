"""Array types and the small records that pass between rooms.

Axes are named b (batch), t (time), h (height), w (width), c (channel), s (structure), r
(structure of a reference). Frame indices are 0-based.
"""

import dataclasses
from typing import NamedTuple, Protocol, runtime_checkable

import numpy as np
from jaxtyping import Bool, Int, UInt8

from echodfkd_jax.masks import LV_ALONE, Structures

# A grey clip as it lies on disk and in host memory: 0 is black, 255 is white.
Frames = UInt8[np.ndarray, "t h w"]
# Soft masks as they lie on disk: 255 * probability, rounded; one per frame and structure.
SoftMasks = UInt8[np.ndarray, "t h w s"]
# Those of one structure.
SoftMask = UInt8[np.ndarray, "t h w"]
# Binary masks, one per frame and structure; readers and teachers need not outline the same ones.
Masks = Bool[np.ndarray, "n h w r"]


class NamedMasks(NamedTuple):
    """Soft masks and what they are of.

    Attributes:
        masks: uint8 (t, h, w, s), 255 * probability.
        structures: names along the last axis.
    """

    masks: SoftMasks
    structures: Structures

    def of(self, structure: str) -> SoftMask:
        """The masks of one structure."""
        return self.masks[..., self.structures.index(structure)]


@dataclasses.dataclass(frozen=True)
class Clip:
    """One echocardiogram clip with whatever is known about it.

    Attributes:
        name: identifier, without a file extension.
        frames: uint8 (t, h, w).
        fps: frames per second; nan when unknown.
        ef_percent: recorded ejection fraction in percent; nan when unknown.
        edv_ml: end-diastolic volume in ml; nan when unknown.
        esv_ml: end-systolic volume in ml; nan when unknown.
        ed_frame: index of the end-diastolic frame (largest LV); -1 when unknown.
        es_frame: index of the end-systolic frame (smallest LV); -1 when unknown.
        reference_frames: int (n,), frames whose masks are known: every frame of a generated clip,
            the traced frames of a recorded one, none when nothing is known.
        reference_masks: bool (n, h, w, r), the masks at `reference_frames`.
        teacher_mask: uint8 (t, h, w, s), the teacher's soft masks; None before labelling.
        reference_structures: names along the last axis of `reference_masks`.
        teacher_structures: names along the last axis of `teacher_mask`.
    """

    name: str
    frames: Frames
    fps: float
    ef_percent: float
    edv_ml: float
    esv_ml: float
    ed_frame: int
    es_frame: int
    reference_frames: Int[np.ndarray, "n"]
    reference_masks: Masks
    teacher_mask: SoftMasks | None = None
    reference_structures: Structures = LV_ALONE
    teacher_structures: Structures = LV_ALONE


@runtime_checkable
class Clips(Protocol):
    """Clips that are made or read when they are asked for."""

    def __len__(self) -> int: ...

    def __getitem__(self, index: int) -> Clip: ...
