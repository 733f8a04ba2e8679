"""Video files to grey frames and back, through PyAV (FFmpeg).

Frame counts come from decoding, never from headers: a truncated AVI decodes its first frames
without an error while its header still claims all of them, and an MP4 that was trimmed without
encoding it again stores frames that are not to be shown. Frames come upright, as the file asks.
Grey values are those of OpenCV's BGR to grey conversion, because published masks were made from
frames read that way.
"""

import fractions
import math
import pathlib
from collections.abc import Iterable, Iterator
from typing import NamedTuple

import av
import av.container
import av.error
import av.video.reformatter
import cv2
import numpy as np
from jaxtyping import UInt8

from echodfkd_jax.clips import arrays, display, timing
from echodfkd_jax.errors import UserError
from echodfkd_jax.types import Frames

SUFFIXES = (
    *(".avi", ".gif", ".m4v", ".mkv", ".mov", ".mp4", ".mpeg", ".mpg", ".npz", ".webm", ".wmv"),
)

# Limits met before memory is taken: a clip that is larger is a wrong file, not an echocardiogram.
MAX_SIDE_PX = 4096
MAX_FRAMES = 20_000
MAX_CLIP_BYTES = arrays.MAX_BYTES
_OPEN_OPTIONS = {
    # FFmpeg also knows playlists, which would make it open other files and addresses.
    "format_whitelist": "avi,gif,mov,mp4,m4a,3gp,3g2,mj2,m4v,matroska,webm,mpeg,mpegvideo,asf",
    "protocol_whitelist": "file",
    # Looking for the streams decodes a frame.
    "max_pixels": str(MAX_SIDE_PX**2),
}


class Video(NamedTuple):
    """A decoded file.

    Attributes:
        frames: uint8 (t, h, w), every frame that is to be shown and could be decoded, at least
            one; upright, in the file's own pixels.
        fps: frames per second; nan when the file does not say.
        declared_frames: how many frames the file should have; 0 when it does not say. More than
            `len(frames)` means a truncated or damaged file.
        times_s: of every frame, from the first; None when they are evenly spaced.
        turn: what was done to make the frames upright.
        pixel_aspect: width over height of a pixel of `frames`; 1 when the file does not say.
    """

    frames: Frames
    fps: float
    declared_frames: int
    times_s: timing.Times | None = None
    turn: display.Turn = display.Turn()
    pixel_aspect: float = 1.0


def decode(path: pathlib.Path) -> Video:
    """Decodes a video file (one of `SUFFIXES`) or an NPZ of frames ("arr_0" or "frames").

    Decoding stops at the first damaged frame: leaving it out would shift every later frame index.

    Raises:
        UserError: the file is missing, of another kind, has no frame that can be decoded, or is
            larger than the limits of this module.
    """
    path = pathlib.Path(path)
    suffix = path.suffix.lower()
    if suffix not in SUFFIXES:
        raise UserError(f"{path}: files of kind {suffix!r} are not read; use {', '.join(SUFFIXES)}")
    if not path.is_file():
        raise UserError(f"{path}: no such file")
    return _decode_npz(path) if suffix == ".npz" else _decode_container(path)


def write_avi(path: pathlib.Path, frames: Frames, fps: float) -> None:
    """Writes grey frames as a Motion-JPEG AVI, the format of the EchoNet data sets.

    JPEG loses a little: values come back within a few grey levels.

    Args:
        path: the file to write; its folder exists.
        frames: uint8 (t, h, w); h and w even (4:2:0 chroma).
        fps: frames per second.
    """
    with av.open(str(path), mode="w", format="avi") as container:
        rate = fractions.Fraction(fps).limit_denominator(1000)
        # qmin = qmax = 2: the best quality that FFmpeg's JPEG encoder recommends.
        stream = container.add_stream("mjpeg", rate=rate, options={"qmin": "2", "qmax": "2"})
        stream.height, stream.width = frames.shape[1:]
        stream.pix_fmt = "yuvj420p"
        for grey in frames:
            rgb = np.repeat(grey[:, :, None], 3, axis=2)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(rgb, format="rgb24")))
        container.mux(stream.encode())


def resize(frames: Frames, size_px: int) -> UInt8[np.ndarray, "t {size_px} {size_px}"]:
    """Scales every frame to size_px x size_px; the aspect ratio is not kept.

    Area interpolation when shrinking, so that no pixel is passed over; linear when enlarging.

    Args:
        frames: uint8 (t, h, w).
        size_px: the new height and width.

    Returns:
        uint8 (t, size_px, size_px), contiguous; `frames` itself when nothing is to be done.
    """
    height, width = frames.shape[1:]
    if (height, width) == (size_px, size_px):
        return np.ascontiguousarray(frames)
    shrinks = height >= size_px and width >= size_px
    method = cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
    resized = np.empty((len(frames), size_px, size_px), np.uint8)
    for index, frame in enumerate(frames):
        resized[index] = cv2.resize(frame, (size_px, size_px), interpolation=method)
    return resized


def stack(frames: Iterable[UInt8[np.ndarray, "h w"]]) -> Frames:
    """Frames of one size as one array, which grows as they come.

    A list and its copy, as `np.stack` needs them, would take the memory of two clips.

    Returns:
        uint8 (t, h, w); (0, 0, 0) where no frame comes.
    """
    clip = np.empty((0, 0, 0), np.uint8)
    count = 0
    for frame in frames:
        if count == len(clip):
            clip.resize((count + count // 8 + 1, *frame.shape), refcheck=False)
        clip[count] = frame
        count += 1
    clip.resize((count, *clip.shape[1:]), refcheck=False)
    return clip


def _decode_container(path: pathlib.Path) -> Video:
    try:
        with av.open(str(path.absolute()), options=dict(_OPEN_OPTIONS)) as container:
            if not container.streams.video:
                raise UserError(f"{path}: no video in this file")
            stream = container.streams.video[0]
            if stream.codec_context is None:
                raise UserError(f"{path}: no installed decoder reads this kind of video")
            check_size(path, 1, stream.height, stream.width)
            # A frame may say another size than the header; FFmpeg refuses it before it allocates.
            stream.codec_context.options = {"max_pixels": str(MAX_SIDE_PX**2)}
            indexed = _indexed_frames(container, stream)  # Before decoding, which adds to it.
            shown = _Shown(path, container, stream)
            frames = stack(shown)
            header_fps = float(stream.average_rate) if stream.average_rate else math.nan
            when = timing.from_times(shown.times_s, header_fps)
            declared = indexed or stream.frames or _frames_of_duration(container, when)
            aspect = _pixel_aspect(stream)
    except (av.error.FFmpegError, OSError, ValueError, MemoryError, cv2.error) as error:
        raise UserError(f"{path}: not readable as a video ({error})") from error
    if not len(frames):
        raise UserError(f"{path}: not one frame could be decoded")
    aspect = display.aspect_after(shown.turn, aspect)
    return Video(frames, when.fps, declared, when.times_s, shown.turn, aspect)


def _indexed_frames(container: av.container.InputContainer, stream: av.VideoStream) -> int:
    """Frames in the file's own index that are to be shown; 0 where there is none.

    The count in a header is of stored frames, or wrong. The index of AVI and MP4 lists each, and
    FFmpeg marks those that an edit list leaves out. A truncated AVI has lost it.
    """
    if not {"avi", "mov"} & set(container.format.name.split(",")):
        return 0
    entries = getattr(stream, "index_entries", None) or ()  # Old releases of PyAV have none.
    count = sum(1 for entry in entries if not entry.is_discard)
    return count if len(entries) > 1 else 0


def _frames_of_duration(container: av.container.InputContainer, when: timing.Timing) -> int:
    """How many frames fill the time that a container without a count claims; 0 when unknown."""
    if not container.duration or not 0 < when.fps < math.inf:
        return 0
    return min(round(container.duration / av.time_base * when.fps), MAX_FRAMES)


def _pixel_aspect(stream: av.VideoStream) -> float:
    """Width over height of a stored pixel; 1 when the file does not say, or cannot mean it."""
    for found in (stream.sample_aspect_ratio, stream.codec_context.sample_aspect_ratio):
        if found and 1 / display.MAX_ASPECT <= found <= display.MAX_ASPECT:
            return float(found)
    return 1.0


class _Shown:
    """Iterates over grey frames up to the first that is damaged or of another size; once.

    Attributes:
        times_s: of the frames so far.
        turn: what the file asks for.
    """

    def __init__(
        self, path: pathlib.Path, container: av.container.InputContainer, stream: av.VideoStream
    ) -> None:
        self._path, self._container, self._stream = path, container, stream
        self.times_s: list[float | None] = []
        self.turn = display.Turn()

    def __iter__(self) -> Iterator[UInt8[np.ndarray, "h w"]]:
        shape = None
        # One of ours: a frame's own has threads that live as long as the container, which is part
        # of a cycle and goes when Python next looks for cycles.
        converter = av.video.reformatter.VideoReformatter()
        try:
            for frame in self._container.decode(self._stream):
                if shape is None:
                    shape = (frame.height, frame.width)
                    matrix = frame.side_data.get("DISPLAYMATRIX")
                    self.turn = (
                        display.Turn() if matrix is None else display.turn_of_bytes(bytes(matrix))
                    )
                if shape != (frame.height, frame.width):
                    return
                check_size(self._path, len(self.times_s) + 1, *shape)
                self.times_s.append(frame.time)
                shown = converter.reformat(frame, format="bgr24")
                grey = cv2.cvtColor(shown.to_ndarray(), cv2.COLOR_BGR2GRAY)
                yield display.turn_frame(grey, self.turn) if self.turn.is_needed else grey
        except av.error.InvalidDataError:
            return


def _decode_npz(path: pathlib.Path) -> Video:
    content = arrays.read_arrays(path)
    frames = content.get("frames", content.get("arr_0"))
    if frames is None:
        raise UserError(f"{path}: has arrays {list(content)}; expected 'frames' or 'arr_0'")
    shape = frames.shape[:-1] if frames.ndim == 4 and frames.shape[-1] == 1 else frames.shape
    if len(shape) != 3 or frames.dtype != np.uint8 or not math.prod(shape):
        raise UserError(f"{path}: frames are {frames.dtype}{list(shape)}; expected uint8 (t, h, w)")
    check_size(path, *shape)
    fps = content.get("fps", np.float64(math.nan))
    if fps.size != 1 or fps.dtype.kind not in "iuf":
        raise UserError(f"{path}: fps is {fps.dtype}{list(fps.shape)}; expected one number")
    return Video(frames.reshape(shape), float(fps.reshape(())), shape[0])


def check_size(path: pathlib.Path, num_frames: int, height: int, width: int) -> None:
    """Raises UserError when a clip is larger than the limits."""
    if max(height, width) > MAX_SIDE_PX:
        raise UserError(f"{path}: frames are {width}x{height}; at most {MAX_SIDE_PX} px a side")
    if num_frames > MAX_FRAMES:
        raise UserError(f"{path}: more than {MAX_FRAMES} frames; cut the clip")
    if num_frames * height * width > MAX_CLIP_BYTES:
        raise UserError(f"{path}: more than {MAX_CLIP_BYTES >> 20} MiB of frames; cut the clip")
