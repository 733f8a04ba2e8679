"""How stored pixels are to be shown: turned, mirrored, and with pixels that are not square.

Cameras and scanners store pixels as they come and say beside them how they are meant. Looking at
the stored ones as they are would show a heart that lies on its side or is twice as wide.
"""

import math
import struct
from collections.abc import Sequence
from typing import NamedTuple

import cv2
import numpy as np
from jaxtyping import UInt8

from echodfkd_jax.types import Frames

# A ratio of sides of a pixel beyond this cannot be true.
MAX_ASPECT = 4.0
# Pixels that are so nearly square are taken as they are: nobody sees the difference.
_SQUARE_WITHIN = 0.01
# A matrix so near a quarter turn is one.
_QUARTER_WITHIN_DEGREES = 1.0


class Turn(NamedTuple):
    """What is done with a stored frame so that it stands upright.

    Attributes:
        mirrored: left and right are exchanged, first.
        degrees: counter-clockwise, then; -180..180.
    """

    mirrored: bool = False
    degrees: float = 0.0

    @property
    def is_needed(self) -> bool:
        """Whether it changes anything."""
        return self.mirrored or self.degrees != 0


def turn_of_matrix(matrix: Sequence[int]) -> Turn:
    """The turn that a display matrix of MP4, MOV or Matroska asks for.

    Args:
        matrix: nine numbers by rows, [x y 1] times it is where a pixel is shown (ISO 14496-12,
            6.2.2). How large and where is not looked at.

    Returns:
        No turn where the matrix would show nothing.
    """
    a, b, _, c, d, *_ = matrix
    if a * d - b * c == 0:
        return Turn()
    mirrored = a * d - b * c < 0
    # Where the stored picture's right side comes to lie; the mirror has put it on the left.
    right, down = (-a, -b) if mirrored else (a, b)
    degrees = math.degrees(math.atan2(-down, right))
    quarter = 90.0 * round(degrees / 90)
    if abs(degrees - quarter) <= _QUARTER_WITHIN_DEGREES:
        degrees = -180.0 if quarter == 180 else quarter
    return Turn(mirrored, -degrees if abs(degrees) == 180 else degrees)


def turn_of_bytes(content: bytes) -> Turn:
    """The same from a frame's side data, nine integers as this machine has them."""
    return turn_of_matrix(struct.unpack("=9i", content)) if len(content) == 36 else Turn()


def turn_frame(frame: UInt8[np.ndarray, "h w"], turn: Turn) -> UInt8[np.ndarray, "shown_h shown_w"]:
    """A frame as it is to be shown; what a slanted one does not fill is black."""
    if turn.mirrored:
        frame = frame[:, ::-1]
    quarters, rest = divmod(turn.degrees, 90)
    if rest == 0:
        return np.ascontiguousarray(np.rot90(frame, int(quarters)))
    height, width = frame.shape
    matrix = cv2.getRotationMatrix2D(((width - 1) / 2, (height - 1) / 2), turn.degrees, 1.0)
    cos, sin = abs(matrix[0, 0]), abs(matrix[0, 1])
    shown_width = round(width * cos + height * sin)
    shown_height = round(width * sin + height * cos)
    matrix[:, 2] += (shown_width - width) / 2, (shown_height - height) / 2
    return cv2.warpAffine(np.ascontiguousarray(frame), matrix, (shown_width, shown_height))


def aspect_after(turn: Turn, aspect: float) -> float:
    """Width over height of a pixel after a turn: a quarter turn exchanges them."""
    return 1 / aspect if round(turn.degrees / 90) % 2 else aspect


def is_square(aspect: float) -> bool:
    """Whether pixels of this width over height can be taken as they are."""
    return math.isnan(aspect) or abs(aspect - 1) <= _SQUARE_WITHIN


def square_shape(height: int, width: int, aspect: float) -> tuple[int, int]:
    """Height and width of a frame whose pixels are made square: the longer side of them is cut."""
    if is_square(aspect):
        return height, width
    return round(height * max(1 / aspect, 1.0)), round(width * max(aspect, 1.0))


def square_pixels(frames: Frames, aspect: float) -> UInt8[np.ndarray, "t square_h square_w"]:
    """Frames whose pixels are as wide as high; nothing is thrown away.

    Args:
        frames: uint8 (t, h, w).
        aspect: width over height of their pixels; nan: unknown, taken as square.
    """
    _, height, width = frames.shape
    height, width = square_shape(height, width, aspect)
    if (height, width) == frames.shape[1:]:
        return frames
    square = np.empty((len(frames), height, width), np.uint8)
    for index, frame in enumerate(frames):
        square[index] = cv2.resize(frame, (width, height), interpolation=cv2.INTER_LINEAR)
    return square


def describe(turn: Turn, aspect: float) -> tuple[str, ...]:
    """Sentences about what was done; none where nothing was.

    Args:
        turn: that was made.
        aspect: width over height of the pixels that were made square.
    """
    notes = []
    if turn.mirrored:
        notes.append("shown with left and right exchanged, as the file asks")
    if turn.degrees:
        notes.append(
            f"shown turned by {turn.degrees:g} degrees counter-clockwise, as the file asks"
        )
    if not is_square(aspect):
        notes.append(f"pixels are {aspect:.4g} times as wide as high; they were made square")
    return tuple(notes)
