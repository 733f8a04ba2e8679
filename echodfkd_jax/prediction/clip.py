"""One clip from pixels to masks, beats and numbers, and from file to files."""

import dataclasses
import math
import pathlib
from typing import Any

import numpy as np
from jaxtyping import UInt8

from echodfkd_jax.clips import inputs
from echodfkd_jax.errors import UserError
from echodfkd_jax.measurement.clip_report import ClipReport, report_clip
from echodfkd_jax.networks.inference import predict_clip
from echodfkd_jax.networks.loaded import LoadedNetwork
from echodfkd_jax.reporting import predictions
from echodfkd_jax.runs.student import load_student
from echodfkd_jax.settings import PredictSettings
from echodfkd_jax.types import SoftMask


@dataclasses.dataclass(frozen=True, eq=False)
class ClipPrediction:
    """A clip with its outline.

    Attributes:
        clip: as it was found.
        fitted: what the student saw, uint8 (t, 112, 112), and which part of the clip that is.
        mask: round(255 * probability) of every pixel of `fitted.frames`.
        fps: frames per second; nan when unknown.
        report: beats, ejection fraction, volumes, and how far to trust them.
    """

    clip: inputs.SourceClip
    fitted: inputs.Fitted
    mask: SoftMask
    fps: float
    report: ClipReport

    def in_source(self) -> UInt8[np.ndarray, "t source_h source_w"]:
        """The soft masks in the clip's own pixels."""
        height, width = self.clip.frames.shape[1:]
        return inputs.restore_masks(self.mask, self.fitted.box, height, width)


def predict(
    clip: str | pathlib.Path | UInt8[np.ndarray, "t h w"],
    student: LoadedNetwork | str = "best",
    *,
    fps: float = 0.0,
    crop: str = "square",
) -> ClipPrediction:
    """Outlines the left ventricle in a clip and measures it.

    Args:
        clip: a video, NPZ or DICOM file, a folder of PNG files, or grey frames 0..255.
        student: "best" or "small" of the shipped ones, a weights file, a run's folder, or what
            `load_student` gave, which saves loading it again.
        fps: frames per second; 0: what the file says.
        crop: "square" (the largest one around the middle) or "full" (squeezed).

    Raises:
        UserError: the clip cannot be read, or is of one grey throughout.
    """
    if isinstance(clip, np.ndarray):
        name = "the clip"
        unknown = (math.nan, math.nan)
        source = inputs.SourceClip(clip, math.nan, unknown, ())
    else:
        name, source = str(clip), inputs.read_clip(pathlib.Path(clip).expanduser())
    network = load_student(student) if isinstance(student, str) else student
    fitted = inputs.fit(source, crop)
    if not fitted.frames.size:
        raise UserError(f"{name} has no frames")
    grey = int(fitted.frames.min())
    if grey == fitted.frames.max():
        raise UserError(f"{name}: every pixel of it is {grey}; expected a picture to outline")
    mask = predict_clip(network, fitted.frames)
    square, side_mm = inputs.with_square_pixels(mask, fitted)
    rate = fps or source.fps
    return ClipPrediction(source, fitted, mask, rate, report_clip(square, rate, side_mm))


def predict_file(
    path: pathlib.Path,
    name: str,
    student: LoadedNetwork,
    settings: PredictSettings,
    output: pathlib.Path,
) -> dict[str, Any]:
    """Predicts one clip, writes its files, and returns the content of its JSON.

    Args:
        path: the clip; a folder of PNG files is one, too.
        name: of its results, without suffix.
        student: the network.
        settings: `crop` and `fps` are used.
        output: the folder of the results; it exists.

    Raises:
        UserError: the clip cannot be read, or is of one grey throughout.
    """
    found = predict(path, student, fps=settings.fps, crop=settings.crop)
    clip, fitted, fps = found.clip, found.fitted, found.fps
    content = {
        "name": name,
        "source": str(path),
        "student": student.metadata,
        "num_frames": len(clip.frames),
        "fps": fps if math.isfinite(fps) else None,
        "source_height_px": clip.frames.shape[1],
        "source_width_px": clip.frames.shape[2],
        "crop": settings.crop,
        "box_px": fitted.box._asdict(),
        "pixel_spacing_mm": list(fitted.spacing_mm),
        "notes": list(clip.notes),
        **predictions.numbers(found.report, found.mask, fps),
    }
    predictions.write_clip(output, name, fitted.frames, found.mask, content, fps)
    return content
