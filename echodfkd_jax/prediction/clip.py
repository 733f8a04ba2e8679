"""One clip from pixels to masks, beats and numbers, and from file to files."""

import dataclasses
import math
import pathlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from jaxtyping import UInt8

from echodfkd_jax import buckets, files
from echodfkd_jax.clips import inputs, timing
from echodfkd_jax.errors import UserError
from echodfkd_jax.interop.viewers.formats import Format, Outlined
from echodfkd_jax.interop.viewers.formats import write as write_formats
from echodfkd_jax.masks import LV
from echodfkd_jax.measurement import mirror
from echodfkd_jax.measurement.beats import Beat
from echodfkd_jax.measurement.clip_report import ClipReport, report_clip
from echodfkd_jax.measurement.view import View, describe_view
from echodfkd_jax.networks.inference import predict_clip
from echodfkd_jax.networks.loaded import LoadedNetwork
from echodfkd_jax.networks.refinement import refine
from echodfkd_jax.reporting import predictions
from echodfkd_jax.runs.student import load_student
from echodfkd_jax.settings import PredictSettings
from echodfkd_jax.types import Frames, NamedMasks, SoftMask


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


def predict(
    clip: files.PathLike | UInt8[np.ndarray, "t h w"],
    student: LoadedNetwork | str = "best",
    *,
    fps: float = 0.0,
    crop: str = "square",
    mirrored: str = "auto",
    refined: bool = True,
) -> ClipPrediction:
    """Outlines the left ventricle in a clip, and what else the student knows, and measures it.

    Args:
        clip: a video, NPZ or DICOM file, a folder of PNG files, or grey frames 0..255.
        student: "best" or "small" of the shipped ones, a weights file, a run's folder, or what
            `load_student` gave, which saves loading it again.
        fps: frames per second; 0: what the file says.
        crop: "square" (the largest one around the middle) or "full" (squeezed).
        mirrored: whether left and right are exchanged: "yes", "no", or "auto" to find out.
        refined: smooth the masks over time and keep the largest part of each.

    Raises:
        UserError: the clip cannot be read, or is of one grey throughout.
    """
    if isinstance(clip, np.ndarray):
        name = "the clip"
        unknown = (math.nan, math.nan)
        source = inputs.SourceClip(clip, math.nan, unknown, ())
    else:
        name, source = str(clip), inputs.read_clip(buckets.local_copy(clip))
    network = load_student(student) if isinstance(student, str) else student
    fitted = inputs.fit(source, crop)
    if not fitted.frames.size:
        raise UserError(f"{name} has no frames")
    grey = int(fitted.frames.min())
    if grey == fitted.frames.max():
        raise UserError(f"{name}: every pixel of it is {grey}; expected a picture to outline")
    exchanged, doubt, notes = _which_way_round(
        fitted.frames, mirrored, lambda frames: predict_clip(network, frames)[..., 0]
    )
    if exchanged:
        fitted = fitted._replace(frames=mirror.mirror_frames(fitted.frames))
    rate, times_s = (fps, None) if fps else (source.fps, source.times_s)
    found = predict_clip(network, fitted.frames)
    masks = NamedMasks(refine(found, rate) if refined else found, network.structures)
    # Parts that refining takes away are what gives other views than the expected one away.
    as_given, _ = inputs.with_square_pixels(found[..., 0], fitted)
    view = describe_view(as_given)
    return ClipPrediction(
        clip=source,
        fitted=fitted,
        masks=masks,
        fps=rate,
        times_s=times_s,
        exchanged=exchanged,
        notes=(*source.notes, *notes),
        report=measure(masks, fitted, rate, times_s, view=view, doubt=doubt),
        view=view,
        doubt=doubt,
    )


def measure(
    masks: NamedMasks,
    fitted: inputs.Fitted,
    fps: float,
    times_s: timing.Times | None,
    *,
    view: View,
    doubt: str,
    beats: Sequence[Beat] | None = None,
) -> ClipReport:
    """Measures a clip's masks.

    Args:
        masks: of every frame of `fitted`.
        fitted: says how its pixels were squeezed, and how large they are.
        fps: frames per second; nan when unknown.
        times_s: of every frame, where they are not evenly spaced.
        view: of the masks as the network gave them.
        doubt: a remark where it could not be told whether left and right are exchanged; it halves
            the confidence, and nothing is said of either side.
        beats: whose frames somebody named; None: they are found.
    """
    square, side_mm = _with_square_pixels(masks, fitted)
    report = report_clip(
        square.of(LV),
        fps,
        side_mm,
        times_s,
        view=view,
        structures=square,
        sides_known=not doubt,
        beats=beats,
    )
    return _doubted(report, doubt)


def predict_file(
    path: pathlib.Path,
    name: str,
    student: LoadedNetwork,
    settings: PredictSettings,
    output: files.PathLike,
    *,
    refined: bool = True,
    formats: Mapping[str, Format] | None = None,
) -> dict[str, Any]:
    """Predicts one clip, writes its files, and returns the content of its JSON.

    Args:
        path: the clip; a folder of PNG files is one, too.
        name: of its results, without suffix.
        student: the network.
        settings: `crop` and `fps` are used.
        output: the folder of the results; it exists.
        refined: see `predict`.
        formats: in which the clip is written besides, by name.

    Raises:
        UserError: the clip cannot be read, or is of one grey throughout.
    """
    found = predict(
        path,
        student,
        fps=settings.fps,
        crop=settings.crop,
        mirrored=settings.mirrored,
        refined=refined,
    )
    content = describe(found, name, str(path), student.metadata, settings.crop)
    if formats:
        notes = write_formats(output, _outlined(found, path, content), formats)
        content["notes"] = [*content["notes"], *notes]
    frames, masks = found.fitted.frames, found.masks
    # Last: where there is a JSON, there is all else.
    predictions.write_clip(output, name, frames, masks, content, found.fps, found.times_s)
    return content


def _outlined(found: ClipPrediction, path: pathlib.Path, content: Mapping[str, Any]) -> Outlined:
    """The clip as other formats are given it."""
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


def _which_way_round(
    frames: Frames, asked: str, outline: Callable[[Frames], SoftMask]
) -> tuple[bool, str, tuple[str, ...]]:
    """Whether left and right are to be exchanged, a remark where that is in doubt, and notes."""
    if asked == "no":
        return False, "", ()
    if asked == "yes":
        return True, "", ("left and right were exchanged, as config.predict.mirrored says",)
    some = frames[mirror.middle_frames(len(frames))]
    found = mirror.compare(some, outline(some), outline(mirror.mirror_frames(some)))
    if found.mirrored:
        note = (
            "left and right were exchanged: the model is surer of its outline that way, and it "
            "lies where a left ventricle is shown; config.predict.mirrored=no leaves them"
        )
        return True, "", (note,)
    doubt = (
        "Whether left and right are exchanged could not be told, and it matters; "
        "config.predict.mirrored=yes or no says it."
    )
    return False, doubt if found.doubted else "", ()


def _doubted(report: ClipReport, remark: str) -> ClipReport:
    if not remark:
        return report
    return dataclasses.replace(
        report, confidence=min(report.confidence, 0.5), remarks=(*report.remarks, remark)
    )
