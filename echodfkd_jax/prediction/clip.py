"""One clip from file to files: what `predict` and `serve` do with it."""

import dataclasses
import functools
import math
import pathlib
from collections.abc import Callable
from typing import Any

from echodfkd_jax.clips import inputs as clip_inputs
from echodfkd_jax.errors import UserError
from echodfkd_jax.measurement import mirror
from echodfkd_jax.measurement.clip_report import ClipReport, report_clip
from echodfkd_jax.networks.inference import predict_clip
from echodfkd_jax.networks.loaded import LoadedNetwork
from echodfkd_jax.reporting import predictions
from echodfkd_jax.types import Frames, SoftMask

MIRRORED = ("auto", "yes", "no")


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
        mirrored: whether left and right of the clips are exchanged: "yes", "no", or "auto" to find
            out for each of them.
        stream: read frames from standard input instead, see `docs/predict.md`.
    """

    inputs: str = ""
    output: str = ""
    weights: str = ""
    checkpoint: str | int = "best"
    crop: str = "square"
    fps: float = 0.0
    mirrored: str = "auto"
    stream: bool = False

    def __post_init__(self) -> None:
        if self.crop not in clip_inputs.CROPS:
            raise UserError(f"config.predict.crop={self.crop!r}: expected 'square' or 'full'")
        if self.mirrored not in MIRRORED:
            raise UserError(
                f"config.predict.mirrored={self.mirrored!r}: expected 'auto', 'yes' or 'no'"
            )
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
    fps, times_s = (settings.fps, None) if settings.fps else (clip.fps, clip.times_s)
    fitted = clip_inputs.fit(clip, settings.crop)
    grey = int(fitted.frames.min())
    if grey == fitted.frames.max():
        raise UserError(f"{path}: every pixel of it is {grey}; expected a picture to outline")
    outline = functools.partial(predict_clip, student)
    exchanged, doubt, notes = _which_way_round(fitted.frames, settings.mirrored, outline)
    if exchanged:
        fitted = fitted._replace(frames=mirror.mirror_frames(fitted.frames))
    mask = outline(fitted.frames)
    square, side_mm = clip_inputs.with_square_pixels(mask, fitted)
    content = {
        "name": name,
        "source": str(path),
        "student": student.metadata,
        "num_frames": len(clip.frames),
        "fps": fps if math.isfinite(fps) else None,
        "times_s": None if times_s is None else times_s.tolist(),
        "shown": {
            "left_and_right_exchanged": clip.turn.mirrored != exchanged,
            "turned_degrees": clip.turn.degrees,
            "pixel_aspect": clip.pixel_aspect,
        },
        "source_height_px": clip.frames.shape[1],
        "source_width_px": clip.frames.shape[2],
        "crop": settings.crop,
        "box_px": fitted.box._asdict(),
        "pixel_spacing_mm": list(fitted.spacing_mm),
        "notes": [*clip.notes, *notes],
        **predictions.numbers(_doubted(report_clip(square, fps, side_mm, times_s), doubt), mask),
    }
    predictions.write_clip(output, name, fitted.frames, mask, content, fps, times_s)
    return content


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
