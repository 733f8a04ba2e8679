"""Clips with the outlines of masks drawn on them: pictures, strips and animations."""

import fractions
import io
import math
from collections.abc import Mapping

import numpy as np
from jaxtyping import Bool, Int, UInt8

from echodfkd_jax.reporting.colours import RGB, colour
from echodfkd_jax.types import Frames, SoftMask

# Frames are enlarged for viewing: at 112 pixels a line would hide what it outlines.
SCALE = 3
# Played so fast where the frame rate is not known.
DEFAULT_FPS = 25.0

# Enlarged frames in colour: their height and width are not those of the clip.
Picture = UInt8[np.ndarray, "picture_h picture_w 3"]
Pictures = UInt8[np.ndarray, "t picture_h picture_w 3"]


def draw_outlines(
    frame: UInt8[np.ndarray, "h w"],
    masks: Mapping[str, UInt8[np.ndarray, "h w"]],
    *,
    scale: int = SCALE,
) -> Picture:
    """One frame, enlarged, with one outline per mask.

    Args:
        frame: grey.
        masks: soft masks 0..255 by model, cut at one half; the later ones are drawn over the
            earlier ones. An empty mask has no outline.
        scale: enlargement; outlines are drawn on the enlarged frame, one pixel wide.
    """
    import cv2

    size = (frame.shape[1] * scale, frame.shape[0] * scale)
    grey = cv2.resize(frame, size, interpolation=cv2.INTER_CUBIC)
    picture = np.repeat(grey[:, :, None], 3, axis=2)
    for model, mask in masks.items():
        # Enlarged before it is cut: the outline is then as smooth as the probability is.
        enlarged = cv2.resize(mask, size, interpolation=cv2.INTER_LINEAR)
        picture[outline(enlarged > 127)] = colour(model)
    return picture


def outline(mask: Bool[np.ndarray, "h w"]) -> Bool[np.ndarray, "h w"]:
    """Pixels of a mask with one of their four neighbours outside; beyond the border is outside."""
    padded = np.pad(mask, 1)
    inside = padded[:-2, 1:-1] & padded[2:, 1:-1] & padded[1:-1, :-2] & padded[1:-1, 2:]
    return mask & ~inside


def clip_pictures(
    frames: Frames,
    masks: Mapping[str, SoftMask],
    *,
    reference_frames: Int[np.ndarray, "n"] | None = None,
    reference_masks: Bool[np.ndarray, "n h w"] | None = None,
    marks: Mapping[int, RGB] | None = None,
    scale: int = SCALE,
) -> Pictures:
    """Every frame of a clip with its outlines.

    Args:
        frames: the clip.
        masks: soft masks by model or structure.
        reference_frames: frames that have a reference mask.
        reference_masks: their masks, drawn below the others.
        marks: frame -> colour of a bar at the top of that frame, for ED and ES.
        scale: enlargement.
    """
    reference: dict[int, np.ndarray] = {}
    if reference_frames is not None and reference_masks is not None:
        soft = reference_masks.astype(np.uint8) * 255
        reference = dict(zip(reference_frames.tolist(), soft))
    pictures = []
    for index, frame in enumerate(frames):
        drawn = {"reference": reference[index]} if index in reference else {}
        drawn |= {model: mask[index] for model, mask in reversed(list(masks.items()))}
        picture = draw_outlines(frame, drawn, scale=scale)
        if marks and index in marks:
            picture[: 2 * scale] = marks[index]
        pictures.append(picture)
    shape = (0, frames.shape[1] * scale, frames.shape[2] * scale, 3)
    return np.stack(pictures) if pictures else np.zeros(shape, np.uint8)


def clip_strip(
    frames: Frames, masks: Mapping[str, SoftMask], *, num_frames: int = 6, scale: int = 2
) -> Picture:
    """Evenly spaced frames of a clip beside one another, with outlines.

    Raises:
        ValueError: the clip has no frames.
    """
    times = np.unique(np.linspace(0, len(frames) - 1, num_frames).round().astype(int))
    chosen = {model: mask[times] for model, mask in masks.items()}
    return np.concatenate(list(clip_pictures(frames[times], chosen, scale=scale)), axis=1)


def encode_mp4(pictures: Pictures, fps: float = math.nan) -> bytes:
    """H.264 in MP4 with 4:2:0 colours, which every browser plays.

    Args:
        pictures: RGB; an odd height or width is repeated by one pixel, as 4:2:0 needs even ones.
        fps: frames per second; nan: `DEFAULT_FPS`.

    Raises:
        ValueError: there is no picture.
    """
    import av

    if len(pictures) == 0:
        raise ValueError("no pictures to encode")
    odd = [(0, 0), *((0, side % 2) for side in pictures.shape[1:3]), (0, 0)]
    pictures = np.pad(pictures, odd, mode="edge")
    rate = fractions.Fraction(_playable(fps)).limit_denominator(1000)
    buffer = io.BytesIO()
    with av.open(buffer, "w", format="mp4") as container:
        # crf 23 is x264's default quality; the thread count is fixed so that bytes repeat.
        stream = container.add_stream("libx264", rate, {"crf": "23", "threads": "1"})
        stream.height, stream.width = pictures.shape[1:3]
        stream.pix_fmt = "yuv420p"
        for picture in pictures:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode())
    return buffer.getvalue()


def encode_png(picture: Picture) -> bytes:
    """One picture as PNG."""
    from PIL import Image

    buffer = io.BytesIO()
    Image.fromarray(picture).save(buffer, "PNG")
    return buffer.getvalue()


def _playable(fps: float) -> float:
    return fps if math.isfinite(fps) and fps > 0 else DEFAULT_FPS
