"""Array types and the small records that pass between rooms.

Axes are named b (batch), t (time), h (height), w (width), c (channel). Frame indices are 0-based.
"""

import dataclasses
from typing import Protocol, runtime_checkable

import numpy as np
from jaxtyping import Bool, Int, UInt8

# A grey clip as it lies on disk and in host memory: 0 is black, 255 is white.
Frames = UInt8[np.ndarray, "t h w"]
# A soft mask as it lies on disk: 255 * probability, rounded.
SoftMask = UInt8[np.ndarray, "t h w"]
# A binary mask, one per frame.
Masks = Bool[np.ndarray, "n h w"]


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
        reference_frames: int (n,), frames whose LV mask is known: every frame of a generated clip,
            the traced frames of a recorded one, none when nothing is known.
        reference_masks: bool (n, h, w), the masks at `reference_frames`.
        teacher_mask: uint8 (t, h, w), the teacher's soft mask; None before labelling.
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
    teacher_mask: SoftMask | None = None


@runtime_checkable
class Clips(Protocol):
    """Clips that are made or read when they are asked for."""

    def __len__(self) -> int: ...

    def __getitem__(self, index: int) -> Clip: ...
