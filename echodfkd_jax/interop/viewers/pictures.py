"""What formats of single pictures share."""

from collections.abc import Iterator

import cv2
import numpy as np
from jaxtyping import Bool, UInt8

from echodfkd_jax.types import Frames


def encoded(frames: Frames, folder: str) -> Iterator[tuple[str, bytes]]:
    """Yields the path in `folder` and the PNG of every frame."""
    for number, frame in enumerate(frames):
        yield f"{folder}{picture_name(number)}", as_png(frame)


def picture_name(number: int) -> str:
    """Of a frame, from 0."""
    return f"{number:06d}.png"


def as_png(frame: UInt8[np.ndarray, "h w"]) -> bytes:
    """A frame as a PNG file."""
    return cv2.imencode(".png", frame)[1].tobytes()


def polygons(mask: Bool[np.ndarray, "h w"]) -> list[list[list[float]]]:
    """The outer outlines of the parts of a mask, x and y of each point, through pixels' middles.

    Parts of less than three points are left out.
    """
    parts, _ = cv2.findContours(mask.astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)
    return [part[:, 0].astype(float).tolist() for part in parts if len(part) > 2]
