"""An outlined clip: what is measured of it, and what files say about it."""

import dataclasses
import math
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from jaxtyping import UInt8

from echodfkd_jax import files
from echodfkd_jax.clips import inputs, timing
from echodfkd_jax.interop.viewers.formats import Format, Outlined
from echodfkd_jax.interop.viewers.formats import write as write_formats
from echodfkd_jax.masks import LV
from echodfkd_jax.measurement import mirror
from echodfkd_jax.measurement.beats import Beat
from echodfkd_jax.measurement.clip_report import ClipReport, report_clip
from echodfkd_jax.measurement.trust import Trust
from echodfkd_jax.measurement.view import View
from echodfkd_jax.reporting import predictions
from echodfkd_jax.types import NamedMasks, SoftMask


@dataclasses.dataclass(frozen=True, eq=False)
class ClipPrediction:
    """A clip with its outline.

    Attributes:
        clip: as it was found.
        fitted: what the student saw, uint8 (t, 112, 112), and which part of the clip that is.
        masks: round(255 * probability) of every pixel of `fitted.frames`, by structure.
        fps: frames per second; nan when unknown.
        times_s: of every frame; None when they are evenly spaced, or unknown.
        exchanged: whether left and right of the clip were exchanged before it was outlined.
        notes: sentences about what was done with the clip.
        report: beats, ejection fraction, volumes, and how far to trust them.
        view: what the masks look like as the network gave them.
        doubt: a remark where it could not be told whether left and right are exchanged.
    """

    clip: inputs.SourceClip
    fitted: inputs.Fitted
    masks: NamedMasks
    fps: float
    times_s: timing.Times | None
    exchanged: bool
    notes: tuple[str, ...]
    report: ClipReport
    view: View
    doubt: str

    @property
    def mask(self) -> SoftMask:
        """The left ventricle's, uint8 (t, 112, 112)."""
        return self.masks.of(LV)

    def in_source(self, structure: str = LV) -> UInt8[np.ndarray, "t source_h source_w"]:
        """The soft masks of a structure in the clip's own pixels."""
        height, width = self.clip.frames.shape[1:]
        mask = self.masks.of(structure)
        mask = mirror.mirror_frames(mask) if self.exchanged else mask
        return inputs.restore_masks(mask, self.fitted.box, height, width)

    def in_file(self, structure: str = LV) -> UInt8[np.ndarray, "t stored_h stored_w"]:
        """The soft masks of a structure in the pixels of the pictures that its DICOM file holds.

        Raises:
            ValueError: the clip is not of a DICOM file.
        """
        if self.clip.stored is None:
            raise ValueError("the clip is of no DICOM file")
        return inputs.masks_in_file(self.in_source(structure), self.clip.stored)


def measure(
    masks: NamedMasks,
    fitted: inputs.Fitted,
    fps: float,
    times_s: timing.Times | None,
    *,
    view: View,
    doubt: str,
    beats: Sequence[Beat] | None = None,
    trust: Trust | None = None,
) -> ClipReport:
    """Measures a clip's masks.

    Args:
        masks: of every frame of `fitted`.
        fitted: says how its pixels were squeezed, and how large they are.
        fps: frames per second; nan when unknown.
        times_s: of every frame, where they are not evenly spaced.
        view: of the masks as the network gave them.
        doubt: a remark where it could not be told whether left and right are exchanged.
        beats: whose frames somebody named; None: they are found.
        trust: how far the masks are to be trusted; None: nobody judged them.
    """
    square, side_mm = _with_square_pixels(masks, fitted)
    return report_clip(
        square.of(LV),
        fps,
        side_mm,
        times_s,
        view=view,
        structures=square,
        side_doubt=doubt,
        beats=beats,
        trust=trust,
    )


def write(
    found: ClipPrediction,
    content: Mapping[str, Any],
    path: pathlib.Path | None,
    output: files.PathLike,
    formats: Mapping[str, Format],
) -> dict[str, Any]:
    """Writes a clip's files.

    Args:
        found: the clip with its outline.
        content: of its JSON, as `describe` gives it.
        path: the clip's own file; None: it came as an array.
        output: the folder of the results; it exists.
        formats: in which the clip is written besides, by name.

    Returns:
        The content with notes about formats that did not take the clip.
    """
    notes = write_formats(output, outlined(found, path, content), formats)
    content = {**content, "notes": [*content["notes"], *notes]}
    frames, masks = found.fitted.frames, found.masks
    predictions.write_clip(
        output, content["name"], frames, masks, content, found.fps, found.times_s
    )
    return content


def outlined(
    found: ClipPrediction, path: pathlib.Path | None, content: Mapping[str, Any]
) -> Outlined:
    """The clip as other formats are given it.

    Args:
        found: the clip with its outline.
        path: its own file; None: it came as an array.
        content: of its JSON.
    """
    clip, stored = found.clip, found.clip.stored
    return Outlined(
        name=content["name"],
        path=path,
        frames=clip.frames,
        structures=found.masks.structures,
        masks=found.in_source,
        masks_in_file=None if stored is None else found.in_file,
        fps=found.fps,
        spacing_mm=min(clip.spacing_mm),  # Its pixels are square.
        file_spacing_mm=(math.nan, math.nan) if stored is None else stored.spacing_mm,
        record=content,
        notice=predictions.DISCLAIMER,
    )


def describe(
    found: ClipPrediction, name: str, source: str, student: Mapping[str, Any], crop: str
) -> dict[str, Any]:
    """The content of a clip's JSON.

    Args:
        found: the clip with its outline.
        name: of its results.
        source: where it is from.
        student: metadata of the network that outlined it.
        crop: as `predict` was told.
    """
    clip, fitted, fps = found.clip, found.fitted, found.fps
    return {
        "name": name,
        "source": source,
        "student": student,
        "num_frames": len(clip.frames),
        "fps": fps if math.isfinite(fps) else None,
        "times_s": None if found.times_s is None else found.times_s.tolist(),
        "shown": {
            "left_and_right_exchanged": clip.turn.mirrored != found.exchanged,
            "turned_degrees": clip.turn.degrees,
            "pixel_aspect": clip.pixel_aspect,
        },
        "source_height_px": clip.frames.shape[1],
        "source_width_px": clip.frames.shape[2],
        "crop": crop,
        "box_px": fitted.box._asdict(),
        "pixel_spacing_mm": list(fitted.spacing_mm),
        "notes": list(found.notes),
        **predictions.numbers(found.report, found.masks),
    }


def _with_square_pixels(masks: NamedMasks, fitted: inputs.Fitted) -> tuple[NamedMasks, float]:
    """All structures' masks in pixels as high as wide, and their side in mm; nan when unknown."""
    made = [inputs.with_square_pixels(masks.of(name), fitted) for name in masks.structures]
    return NamedMasks(np.stack([mask for mask, _ in made], axis=-1), masks.structures), made[0][1]
