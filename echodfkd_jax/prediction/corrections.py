"""What somebody corrects of a clip: outlines of some frames, and where the beats are.

A correction lies beside what was predicted and never replaces it. What is measured after it is
measured by the functions that measure a prediction.
"""

import dataclasses
import math
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from echodfkd_jax.clips import tables, traces, video
from echodfkd_jax.clips.echonet import MASK_FOLDER
from echodfkd_jax.clips.inputs import SIDE_PX
from echodfkd_jax.errors import UserError
from echodfkd_jax.masks import LV
from echodfkd_jax.measurement.beats import Beat
from echodfkd_jax.measurement.clip_report import ClipReport
from echodfkd_jax.prediction import outlines
from echodfkd_jax.prediction.clip import ClipPrediction, measure
from echodfkd_jax.prediction.outlines import Points
from echodfkd_jax.reporting.overlays import DEFAULT_FPS
from echodfkd_jax.types import NamedMasks

# Points may lie a little outside of the frame, as a ventricle does.
_MARGIN_PX = SIDE_PX / 2


@dataclasses.dataclass(frozen=True, eq=False)
class Corrections:
    """What somebody corrected of a clip.

    Attributes:
        outlines: frame -> points of the outline there, as `outlines` means them.
        beats: end-diastole and end-systole of every beat; None: as they are found.
    """

    outlines: Mapping[int, Points] = dataclasses.field(default_factory=dict)
    beats: tuple[Beat, ...] | None = None


def parse(content: Any, num_frames: int) -> Corrections:
    """Corrections from JSON: {"outlines": {"12": [[x, y], ...]}, "beats": [[ed, es], ...] or null}.

    Args:
        content: of the JSON.
        num_frames: of the clip.

    Raises:
        UserError: it is something else, names a frame that is not there, or beats that overlap.
    """
    if not isinstance(content, dict) or not isinstance(content.get("outlines"), dict):
        raise UserError('a correction has "outlines" by frame and "beats"')
    found = {}
    for frame, points in content["outlines"].items():
        if not (frame.isascii() and frame.isdigit() and len(frame) < 9):
            raise UserError(f"frame {frame[:20]!r} of an outline: expected a number")
        found[_frame(int(frame), num_frames)] = _points(points, frame)
    beats = content.get("beats")
    return Corrections(
        outlines=dict(sorted(found.items())),
        beats=None if beats is None else _beats(beats, num_frames),
    )


def to_json(corrections: Corrections) -> dict[str, Any] | None:
    """What `parse` takes; None where nothing is corrected."""
    if not corrections.outlines and corrections.beats is None:
        return None
    return {
        "outlines": {
            str(frame): np.round(points, 2).tolist()
            for frame, points in corrections.outlines.items()
        },
        "beats": None if corrections.beats is None else [list(beat) for beat in corrections.beats],
    }


def corrected_masks(found: ClipPrediction, corrections: Corrections) -> NamedMasks:
    """The predicted masks with those of the corrected frames, 0 and 255, in their place."""
    masks = found.masks.masks.copy()
    place = found.masks.structures.index(LV)
    for frame, points in corrections.outlines.items():
        masks[frame, ..., place] = 255 * outlines.fill(points, SIDE_PX).astype(np.uint8)
    return found.masks._replace(masks=masks)


def remeasure(found: ClipPrediction, masks: NamedMasks, corrections: Corrections) -> ClipReport:
    """The report on corrected masks, with the beats that somebody named.

    Args:
        found: the clip.
        masks: of `corrected_masks`.
        corrections: says where the beats are.
    """
    trust = found.report.trust
    return measure(
        masks,
        found.fitted,
        found.fps,
        found.times_s,
        view=found.view,
        doubt=found.doubt,
        beats=corrections.beats,
        trust=trust and trust.with_drawn(corrections.outlines),
    )


def write_folder(
    folder: pathlib.Path, corrected: Sequence[tuple[str, ClipPrediction, Corrections]]
) -> None:
    """Writes corrected clips as a folder that `--stage=prepare` takes, in EchoNet-Dynamic's layout.

    `VolumeTracings.csv` has the corrected frames and no others; `Videos/<name>.avi` the frames that
    the student saw, in whose pixels the rows are; `TeacherMasks/<name>.seg.npz` the masks of all
    frames, the corrected ones in their place.

    Args:
        folder: exists and is empty.
        corrected: name, clip and corrections of each; names are file names, and differ.
    """
    for name in ("Videos", MASK_FOLDER):
        (folder / name).mkdir()
    rows = {}
    for name, found, corrections in corrected:
        fps = found.fps if math.isfinite(found.fps) else DEFAULT_FPS
        video.write_avi(folder / "Videos" / f"{name}.avi", found.fitted.frames, fps)
        masks = corrected_masks(found, corrections).of(LV)
        np.savez_compressed(folder / MASK_FOLDER / f"{name}.seg.npz", masks)
        rows[name] = {
            frame: traces.from_outline(outlines.curve(points))
            for frame, points in corrections.outlines.items()
        }
    tables.write_volume_tracings(folder / "VolumeTracings.csv", rows)


def _frame(value: Any, num_frames: int) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value < num_frames:
        raise UserError(f"frame {str(value)[:20]}: expected 0 to {num_frames - 1}")
    return value


def _points(value: Any, frame: str) -> Points:
    least, most = outlines.LEAST_POINTS, outlines.MOST_POINTS
    expected = f"the outline of frame {frame}: expected {least} to {most} points x, y"
    if not isinstance(value, list) or not least <= len(value) <= most:
        raise UserError(f"{expected}, not {len(value) if isinstance(value, list) else value!r}")
    if not all(isinstance(point, list) and len(point) == 2 for point in value):
        raise UserError(expected)
    # Written so that nan is refused, too.
    if not all(
        type(number) in (int, float) and -_MARGIN_PX <= number <= SIDE_PX + _MARGIN_PX
        for point in value
        for number in point
    ):
        raise UserError(f"{expected} in the frame, 0 to {SIDE_PX - 1}")
    points = np.array(value, np.float64)
    if not outlines.fill(points, SIDE_PX).any():
        raise UserError(f"the outline of frame {frame} has no pixel inside; draw it larger")
    return points


def _beats(value: Any, num_frames: int) -> tuple[Beat, ...]:
    if not isinstance(value, list) or len(value) > num_frames:
        raise UserError("beats: expected a list of end-diastole and end-systole")
    beats: list[Beat] = []
    for pair in value:
        if not isinstance(pair, list) or len(pair) != 2:
            raise UserError("beats: expected a list of end-diastole and end-systole")
        beat = Beat(*(_frame(frame, num_frames) for frame in pair))
        earliest = beats[-1].es_frame if beats else 0
        if not earliest <= beat.ed_frame < beat.es_frame:
            raise UserError(
                f"beat {len(beats) + 1}: end-diastole {beat.ed_frame}, end-systole "
                f"{beat.es_frame}; expected them in this order, from frame {earliest} on"
            )
        beats.append(beat)
    return tuple(beats)
