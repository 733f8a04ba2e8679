"""One clip from file to files: what `predict` and `serve` do with it."""

import dataclasses
import math
import pathlib
from typing import Any

from echodfkd_jax.clips import inputs as clip_inputs
from echodfkd_jax.errors import UserError
from echodfkd_jax.measurement.clip_report import report_clip
from echodfkd_jax.networks.inference import predict_clip
from echodfkd_jax.networks.loaded import LoadedNetwork
from echodfkd_jax.reporting import predictions


@dataclasses.dataclass(frozen=True)
class PredictSettings:
    """Section `config.predict`.

    Attributes:
        inputs: a clip, a folder or a glob.
        output: folder of the results; empty: `<workdir>/predictions`.
        weights: a safetensors file of a student, or "best" or "small" of the shipped ones; empty:
            the run's, or else the best.
        checkpoint: of the run: "best", "latest" or a step.
        crop: "square" (the largest square around the middle) or "full" (the whole frame, squeezed).
        fps: frames per second, instead of what the file says; 0: what the file says.
        stream: read frames from standard input instead, see `docs/predict.md`.
    """

    inputs: str = ""
    output: str = ""
    weights: str = ""
    checkpoint: str | int = "best"
    crop: str = "square"
    fps: float = 0.0
    stream: bool = False

    def __post_init__(self) -> None:
        if self.crop not in clip_inputs.CROPS:
            raise UserError(f"config.predict.crop={self.crop!r}: expected 'square' or 'full'")
        if not (math.isfinite(self.fps) and self.fps >= 0):
            raise UserError(f"config.predict.fps={self.fps}: expected frames per second, or 0")


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
    clip = clip_inputs.read_clip(path)
    fps = settings.fps or clip.fps
    fitted = clip_inputs.fit(clip, settings.crop)
    grey = int(fitted.frames.min())
    if grey == fitted.frames.max():
        raise UserError(f"{path}: every pixel of it is {grey}; expected a picture to outline")
    mask = predict_clip(student, fitted.frames)
    square, side_mm = clip_inputs.with_square_pixels(mask, fitted)
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
        **predictions.numbers(report_clip(square, fps, side_mm), mask, fps),
    }
    predictions.write_clip(output, name, fitted.frames, mask, content, fps)
    return content
