"""One clip of a folder: checked once when the folder is opened, read when it is asked for."""

import dataclasses
import math
import pathlib

import numpy as np

from echodfkd_jax.clips import mask_files as masks
from echodfkd_jax.clips import tables, traces, video
from echodfkd_jax.errors import UserError
from echodfkd_jax.types import Clip

FRAME_SIZE_PX = 112
# Headers are off by a frame or two in sound files; a file that was cut short lacks more.
COMPLETE_FRACTION = 0.9


@dataclasses.dataclass(frozen=True)
class Note:
    """A rule of `layout_report` that applies to a clip.

    Attributes:
        rule: its key.
        reason: what exactly was wrong, where the rule does not say it.
    """

    rule: str
    reason: str = ""


@dataclasses.dataclass(frozen=True)
class Entry:
    """A usable clip, before its pixels are read.

    Attributes:
        row: what FileList.csv says; nan where it says nothing.
        path: the video.
        traces: traced frame -> the first annotator's rows, in the order of the table.
        ed_frame: traced frame with the largest polygon; -1 when unknown.
        es_frame: traced frame with the smallest polygon; -1 when unknown.
        mask_path: the teacher's mask; None when there is none of the right length.
    """

    row: tables.ListedClip
    path: pathlib.Path
    traces: tables.TracedFrames
    ed_frame: int
    es_frame: int
    mask_path: pathlib.Path | None


def check(
    row: tables.ListedClip,
    path: pathlib.Path,
    traced: tables.TracedFrames,
    mask_folder: pathlib.Path,
    *,
    min_frames: int,
) -> tuple[Entry | None, list[Note]]:
    """Decodes a clip, looks at everything that belongs to it and forgets the pixels again.

    Args:
        row: the clip's row of FileList.csv.
        path: its video.
        traced: its rows of VolumeTracings.csv; empty when it has none.
        mask_folder: where its teacher mask would be.
        min_frames: a clip with fewer frames is left out.

    Returns:
        The clip as it can be used, or None, and the rules that were applied.
    """
    try:
        content = video.decode(path)
    except UserError as error:
        return None, [Note("unreadable", str(error))]
    num_frames, height, width = content.frames.shape
    decoded = f"{num_frames} of {content.declared_frames} frames could be decoded"
    if num_frames < COMPLETE_FRACTION * content.declared_frames:
        return None, [Note("truncated", decoded)]
    if num_frames < min_frames:
        return None, [Note("too_short", f"{num_frames} frames; a window has {min_frames}")]
    notes = []
    if num_frames < content.declared_frames:
        notes.append(Note("fewer_frames", decoded))
    if (height, width) != (FRAME_SIZE_PX, FRAME_SIZE_PX):
        notes.append(Note("resized", f"{width}x{height} pixels"))
    usable, areas = _usable_traces(traced, num_frames, (height, width), notes)
    ed_frame, es_frame = _phases(areas, notes)
    if not usable:
        notes.append(Note("untraced"))
    mask_path = _usable_mask(masks.find_mask_file(mask_folder, row.name), num_frames, notes)
    return Entry(row, path, usable, ed_frame, es_frame, mask_path), notes


def read(entry: Entry) -> Clip:
    """Reads the pixels of a clip, its reference masks and, where there is one, its teacher mask.

    Raises:
        UserError: a file changed since the folder was opened and cannot be read any more.
    """
    content = video.decode(entry.path)
    frame_shape = content.frames.shape[1:]
    traced = sorted(entry.traces)
    reference = [
        traces.mask(entry.traces[frame], frame_shape=frame_shape, size_px=FRAME_SIZE_PX)
        for frame in traced
    ]
    teacher = None
    if entry.mask_path is not None:
        teacher = video.resize(masks.read_masks(entry.mask_path), FRAME_SIZE_PX)[..., None]
    # The table before the container: EchoNet-Synthetic's files say 30 where 32 is right.
    fps = content.fps if math.isnan(entry.row.fps) else entry.row.fps
    return Clip(
        name=entry.row.name,
        frames=video.resize(content.frames, FRAME_SIZE_PX),
        fps=fps,
        ef_percent=entry.row.ef_percent,
        edv_ml=entry.row.edv_ml,
        esv_ml=entry.row.esv_ml,
        ed_frame=entry.ed_frame,
        es_frame=entry.es_frame,
        reference_frames=np.array(traced, np.int32),
        reference_masks=np.array(reference, bool).reshape(-1, FRAME_SIZE_PX, FRAME_SIZE_PX, 1),
        teacher_mask=teacher,
    )


def _usable_traces(
    traced: tables.TracedFrames,
    num_frames: int,
    frame_shape: tuple[int, int],
    notes: list[Note],
) -> tuple[tables.TracedFrames, dict[int, int]]:
    """The first annotator's trace and its area in pixels, per traced frame, in table order."""
    usable: tables.TracedFrames = {}
    areas: dict[int, int] = {}
    for frame, rows in traced.items():
        annotators, left_over = traces.split_annotators(rows)
        if left_over:
            reason = f"frame {frame}: {len(rows)} rows; {traces.ROWS_PER_TRACE} per annotator"
            notes.append(Note("incomplete_tracing", reason))
        if not annotators:
            continue
        if len(annotators) > 1:
            notes.append(Note("several_annotators", f"frame {frame}: {len(annotators)} tracings"))
        if frame >= num_frames:
            reason = f"frame {frame} is traced; the clip has {num_frames} frames"
            notes.append(Note("tracing_outside_clip", reason))
            continue
        filled = traces.mask(annotators[0], frame_shape=frame_shape, size_px=FRAME_SIZE_PX)
        if not filled.any():
            notes.append(Note("empty_tracing", f"frame {frame}"))
            continue
        usable[frame] = annotators[0]
        areas[frame] = int(filled.sum())
    return usable, areas


def _phases(areas: dict[int, int], notes: list[Note]) -> tuple[int, int]:
    """ED and ES: the largest and the smallest polygon, whatever the order of the table is.

    Args:
        areas: traced frame -> area in pixels, in the order of the table.
        notes: what was met is added here.

    Returns:
        Two frame indices; -1 and -1 with fewer than two traced frames. Of equal polygons the first
        in the table is ED and the last is ES.
    """
    order = list(areas)
    if len(order) < 2:
        if order:
            notes.append(Note("one_traced_frame", f"frame {order[0]}"))
        return -1, -1
    ed_frame = max(order, key=areas.__getitem__)
    es_frame = min(reversed(order), key=areas.__getitem__)
    if order.index(ed_frame) > order.index(es_frame):
        notes.append(Note("es_before_ed_in_table", f"ED is {ed_frame}, ES is {es_frame}"))
    return ed_frame, es_frame


def _usable_mask(
    path: pathlib.Path | None, num_frames: int, notes: list[Note]
) -> pathlib.Path | None:
    if path is None:
        return None
    try:
        num_masks = len(masks.read_masks(path))
    except UserError as error:
        notes.append(Note("mask_mismatch", str(error)))
        return None
    if num_masks != num_frames:
        reason = f"{path.name}: {num_masks} masks for {num_frames} frames"
        notes.append(Note("mask_mismatch", reason))
        return None
    return path
