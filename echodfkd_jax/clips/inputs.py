"""Clips that somebody brings: any kind of file, any size, made to fit the student.

How a frame becomes the student's 112 x 112 pixels is said by `CROPS`; `Fitted` says what part of
the source it was and how large its pixels are, and `restore_masks` goes the other way.
"""

import math
import pathlib
from typing import NamedTuple

import cv2
import numpy as np
from jaxtyping import UInt8

from echodfkd_jax.clips import dicom, display, pictures, timing, video
from echodfkd_jax.errors import UserError
from echodfkd_jax.types import Frames, SoftMask

SIDE_PX = 112
# "square": the largest square around the middle, so that proportions are kept and what lies left
# and right of it (or above and below) is not seen. "full": the whole frame, squeezed to a square.
CROPS = ("square", "full")
# What no recording of a heart goes beyond; masks are stretched by these ratios.
_MAX_RATIO = 4.0
_MAX_FPS = 1000.0
_MIN_PIXEL_MM, _MAX_PIXEL_MM = 1e-3, 1e2


class Box(NamedTuple):
    """A part of a frame, in its pixels."""

    top: int
    left: int
    height: int
    width: int


class Stored(NamedTuple):
    """Where a clip's frames are in the pictures of its file.

    Attributes:
        height: of a picture.
        width: of a picture.
        box: the part of it that the frames show, in its pixels.
        spacing_mm: height and width of a pixel of it; nan when unknown.
    """

    height: int
    width: int
    box: Box
    spacing_mm: tuple[float, float]


class SourceClip(NamedTuple):
    """A clip as it is to be shown.

    Attributes:
        frames: uint8 (t, h, w), grey, upright, with square pixels.
        fps: frames per second; nan when unknown.
        spacing_mm: height and width of a pixel; nan when unknown.
        notes: sentences about what was done with the file.
        times_s: of every frame, from the first; None when they are evenly spaced, or unknown.
        turn: what was done to make the stored pixels upright.
        pixel_aspect: width over height of the pixels that were found and made square.
        stored: of a DICOM file; None of any other.
    """

    frames: Frames
    fps: float
    spacing_mm: tuple[float, float]
    notes: tuple[str, ...]
    times_s: timing.Times | None = None
    turn: display.Turn = display.Turn()
    pixel_aspect: float = 1.0
    stored: Stored | None = None


class Fitted(NamedTuple):
    """A clip of the student's size.

    Attributes:
        frames: uint8 (t, 112, 112).
        box: the part of the source that they show.
        spacing_mm: height and width of a pixel of `frames`; nan when unknown.
    """

    frames: Frames
    box: Box
    spacing_mm: tuple[float, float]


def read_clip(path: pathlib.Path) -> SourceClip:
    """Reads a video, an NPZ, a DICOM file or PNG files in the order of their numbers.

    Args:
        path: the file; a folder of PNG files, or one of them.

    Raises:
        UserError: it cannot be read, or is no clip.
    """
    clip = _with_square_pixels(path, _believe(_read(path)))
    height, width = clip.frames.shape[1:]
    if max(height, width) > _MAX_RATIO * min(height, width):
        raise UserError(
            f"{path}: frames are {width}x{height}; expected sides of at most 1 to {_MAX_RATIO:g}"
        )
    return clip


def _read(path: pathlib.Path) -> SourceClip:
    unknown = (math.nan, math.nan)
    if path.is_dir() or path.suffix.lower() == ".png":
        return SourceClip(pictures.read_pictures(path), math.nan, unknown, ())
    if path.suffix.lower() not in video.SUFFIXES and dicom.is_dicom(path):
        found = dicom.read_dicom(path)
        return SourceClip(
            found.frames,
            found.fps,
            found.spacing_mm,
            found.notes,
            times_s=found.times_s,
            pixel_aspect=found.pixel_aspect,
            stored=_stored(found),
        )
    if path.suffix.lower() not in video.SUFFIXES:
        kinds = ", ".join((*video.SUFFIXES, *dicom.SUFFIXES))
        raise UserError(f"{path}: files of kind {path.suffix!r} are not read; use {kinds}")
    decoded = video.decode(path)
    notes = ()
    if decoded.declared_frames > len(decoded.frames):
        have, said = len(decoded.frames), decoded.declared_frames
        notes = (f"{have} of {said} frames could be decoded (file truncated?)",)
    return SourceClip(
        decoded.frames,
        decoded.fps,
        unknown,
        notes,
        decoded.times_s,
        decoded.turn,
        decoded.pixel_aspect,
    )


def _stored(found: dicom.DicomClip) -> Stored:
    rows, columns = found.region
    # A region may be written a pixel too large.
    box = Box(rows.start, columns.start, *found.frames.shape[1:])
    return Stored(*found.picture_px, box, found.spacing_mm)


def _believe(clip: SourceClip) -> SourceClip:
    """The clip without a frame rate or a pixel spacing that cannot be true."""
    fps, times, spacing, notes = clip.fps, clip.times_s, clip.spacing_mm, list(clip.notes)
    if not math.isnan(fps) and not 0 < fps <= _MAX_FPS:
        notes.append(f"{fps:g} frames per second cannot be; the frame rate is taken as unknown")
        fps, times = math.nan, None
    if times is not None:
        notes.append("frames are not evenly spaced in time; each one's own time is used")
    least, most = sorted(spacing)
    possible = least >= _MIN_PIXEL_MM and most <= min(_MAX_PIXEL_MM, _MAX_RATIO * least)
    if not any(map(math.isnan, spacing)) and not possible:
        sides = " x ".join(f"{side:g}" for side in spacing)
        notes.append(f"pixels of {sides} mm cannot be; their size is taken as unknown")
        spacing = (math.nan, math.nan)
    stored = clip.stored and clip.stored._replace(spacing_mm=spacing)
    return clip._replace(
        fps=fps, times_s=times, spacing_mm=spacing, notes=tuple(notes), stored=stored
    )


def _with_square_pixels(path: pathlib.Path, clip: SourceClip) -> SourceClip:
    """The clip with pixels as wide as high: a measured spacing says it before a ratio does."""
    vertical, horizontal = clip.spacing_mm
    measured = horizontal / vertical
    aspect = clip.pixel_aspect if math.isnan(measured) else measured
    notes = clip.notes + display.describe(clip.turn, aspect)
    count, height, width = clip.frames.shape
    video.check_size(path, count, *display.square_shape(height, width, aspect))
    frames = display.square_pixels(clip.frames, aspect)
    spacing = clip.spacing_mm if display.is_square(aspect) else (min(clip.spacing_mm),) * 2
    return clip._replace(frames=frames, spacing_mm=spacing, notes=notes, pixel_aspect=aspect)


def fit(clip: SourceClip, crop: str = "square") -> Fitted:
    """Cuts and scales a clip to the student's size; pixel spacing follows.

    A square box's odd pixel is left out to the right or at the bottom.

    Args:
        clip: of any size.
        crop: one of `CROPS`.
    """
    height, width = clip.frames.shape[1:]
    box = Box(0, 0, height, width)
    if crop == "square":
        side = min(height, width)
        box = Box((height - side) // 2, (width - side) // 2, side, side)
    inside = clip.frames[:, box.top : box.top + box.height, box.left : box.left + box.width]
    vertical, horizontal = clip.spacing_mm
    spacing = (vertical * box.height / SIDE_PX, horizontal * box.width / SIDE_PX)
    return Fitted(video.resize(inside, SIDE_PX), box, spacing)


def with_square_pixels(
    mask: SoftMask, fitted: Fitted
) -> tuple[UInt8[np.ndarray, "t square_h square_w"], float]:
    """Masks in which a pixel is as high as wide, as measuring needs them.

    Where the pixel spacing is unknown the source's pixels are taken to be square.

    Args:
        mask: soft masks of `fitted.frames`.
        fitted: says how they were squeezed.

    Returns:
        The masks, made wider or higher where the frames were squeezed, and the side of their
        pixels in mm; nan when unknown.
    """
    vertical, horizontal = fitted.spacing_mm
    known = math.isfinite(vertical) and math.isfinite(horizontal)
    aspect = horizontal / vertical if known else fitted.box.width / fitted.box.height
    side = min(vertical, horizontal) if known else math.nan
    if math.isclose(aspect, 1.0, rel_tol=1e-3):
        return mask, side
    width = round(mask.shape[2] * max(aspect, 1.0))
    height = round(mask.shape[1] * max(1 / aspect, 1.0))
    return _resize(mask, height, width), side


def restore_masks(
    mask: SoftMask, box: Box, height: int, width: int
) -> UInt8[np.ndarray, "t {height} {width}"]:
    """Puts masks of the student's size back where they are in the source's frames.

    Args:
        mask: soft masks (t, 112, 112).
        box: of `fit`.
        height: of the source.
        width: of the source.

    Returns:
        Soft masks in the source's pixels, 0 outside of the box.
    """
    return _placed(_resize(mask, box.height, box.width), box, height, width)


def masks_in_file(mask: SoftMask, stored: Stored) -> UInt8[np.ndarray, "t stored_h stored_w"]:
    """Puts masks of a clip as it is shown where they are in the pictures of its file.

    Args:
        mask: soft masks in the pixels of `SourceClip.frames`.
        stored: of that clip.
    """
    box = stored.box
    part = mask if mask.shape[1:] == (box.height, box.width) else _resize(mask, *box[2:])
    return _placed(part, box, stored.height, stored.width)


def _placed(
    mask: SoftMask, box: Box, height: int, width: int
) -> UInt8[np.ndarray, "t {height} {width}"]:
    """Masks of a box within whole frames, 0 outside of it."""
    whole = np.zeros((len(mask), height, width), np.uint8)
    rows = slice(box.top, box.top + box.height)
    whole[:, rows, box.left : box.left + box.width] = mask
    return whole


def _resize(mask: SoftMask, height: int, width: int) -> UInt8[np.ndarray, "t {height} {width}"]:
    resized = np.empty((len(mask), height, width), np.uint8)
    for index, frame in enumerate(mask):
        resized[index] = cv2.resize(frame, (width, height), interpolation=cv2.INTER_LINEAR)
    return resized
