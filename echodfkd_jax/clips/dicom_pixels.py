"""Pictures of DICOM files as grey frames of eight bits.

Depth and colours: DICOM PS3.3, C.7.6.3 (Image Pixel), C.11.1 (Modality LUT), C.11.2 (VOI LUT).
"""

import pathlib
from collections.abc import Callable, Iterator
from typing import Any

import cv2
import numpy as np
from jaxtyping import Num, UInt8

from echodfkd_jax.errors import UserError

Region = tuple[slice, slice]
_Convert = Callable[[np.ndarray], UInt8[np.ndarray, "h w"]]

# Packages of the extra `dicom`.
DECODERS = "pylibjpeg pylibjpeg-libjpeg pylibjpeg-openjpeg"
# Colour: farther from the colour that its brightness has elsewhere in the picture than this, ...
_COLOUR_DISTANCE = 40
# ... in more than this part of the picture; the line of an ECG is less.
_COLOUR_FRACTION = 0.005
_BRIGHTNESS_STEP = 8
# A window that shows less of the values than this is none.
_MIN_WINDOW_OVERLAP = 0.02
# Start of a picture as its compression writes it -> transfer syntax.
_MARKERS = {
    b"\xff\x4f\xff\x51": "1.2.840.10008.1.2.4.91",  # JPEG 2000
    b"\xff\xc0": "1.2.840.10008.1.2.4.50",  # baseline
    b"\xff\xc1": "1.2.840.10008.1.2.4.51",  # extended
    b"\xff\xc3": "1.2.840.10008.1.2.4.70",  # lossless
    b"\xff\xf7": "1.2.840.10008.1.2.4.81",  # JPEG-LS
}


def check_decoder(path: pathlib.Path, dataset: Any) -> None:
    """Raises UserError, with what to install, when nothing here reads the compression."""
    from pydicom import pixels

    syntax = dataset.file_meta.TransferSyntaxUID
    if not syntax.is_encapsulated:
        return
    other = "or export the clip again, uncompressed or as MP4"
    try:
        available = pixels.get_decoder(syntax).is_available
    except NotImplementedError as error:
        raise UserError(
            f"{path}: its pictures are compressed as {syntax.name}, which is not read; "
            f"{other.removeprefix('or ')}"
        ) from error
    if not available:
        raise UserError(
            f"{path}: its pictures are compressed as {syntax.name}, and no decoder for it is "
            f"installed; pip install {DECODERS} (the extra dicom), {other}"
        )


def guess_transfer_syntax(dataset: Any) -> str:
    """How the pictures of a file without a meta header are stored, from how they begin."""
    import pydicom.uid

    content = dataset.get("PixelData", b"") or b""
    if content[:4] == b"\xfe\xff\x00\xe0":
        start = content[:65_536]
        found = [(start.find(marker), uid) for marker, uid in _MARKERS.items()]
        first = min(((at, uid) for at, uid in found if at >= 0), default=None)
        return first[1] if first else pydicom.uid.RLELossless
    implicit, little = dataset.original_encoding
    if not little:
        return pydicom.uid.ExplicitVRBigEndian
    return pydicom.uid.ImplicitVRLittleEndian if implicit else pydicom.uid.ExplicitVRLittleEndian


def grey_frames(
    path: pathlib.Path, dataset: Any, region: Region, *, flagged_as_colour: bool
) -> Iterator[UInt8[np.ndarray, "h w"]]:
    """Grey values of the region, frame by frame: never the whole clip in colour.

    Args:
        path: for messages.
        dataset: of pydicom, with pictures of a known transfer syntax.
        region: rows and columns.
        flagged_as_colour: the file says that it has colours; whether it does is looked at.

    Raises:
        UserError: a frame shows colour Doppler.
    """
    photometric = dataset.PhotometricInterpretation
    if photometric in ("MONOCHROME1", "MONOCHROME2"):
        convert = _depth(dataset, region)
        for picture in _pictures(dataset):
            # MONOCHROME1: the least value is white.
            grey = convert(picture[region])
            yield 255 - grey if _is_inverted(dataset) else grey
        return
    if photometric == "PALETTE COLOR" and "RedPaletteColorLookupTableDescriptor" not in dataset:
        raise UserError(
            f"{path}: its colours are in a palette that the file does not have; export the clip "
            "again, as grey or RGB"
        )
    convert = None
    for picture in _pictures(dataset):
        convert = convert or _colour_reader(dataset, picture)
        rgb = convert(picture)[region]
        grey = cv2.cvtColor(np.ascontiguousarray(rgb), cv2.COLOR_RGB2GRAY)
        if flagged_as_colour and _shows_colour(rgb, grey):
            raise UserError(f"{path}: contains colour Doppler; expected a grey 2-D clip")
        yield grey


def _pictures(dataset: Any) -> Iterator[Num[np.ndarray, "..."]]:
    """Frames as they are stored: (h, w), or (h, w, 3) in their own colour space."""
    from pydicom import pixels

    photometric = dataset.PhotometricInterpretation
    native = not dataset.file_meta.TransferSyntaxUID.is_encapsulated
    if native and photometric == "YBR_FULL_422":
        yield from _pictures_422(dataset)
        return
    # pydicom would convert YBR to RGB by the tag, which may be wrong.
    raw = photometric in ("RGB", "YBR_FULL", "YBR_FULL_422", "MONOCHROME1", "MONOCHROME2")
    yield from pixels.iter_pixels(dataset, raw=raw or photometric == "PALETTE COLOR")


def _pictures_422(dataset: Any) -> Iterator[UInt8[np.ndarray, "h w 3"]]:
    """Uncompressed frames of which two neighbours share their colour, or that only say so.

    pydicom reads the first such frame, and no other.
    """
    rows, columns, count = int(dataset.Rows), int(dataset.Columns), frame_count(dataset)
    content = np.frombuffer(dataset.PixelData, np.uint8)
    whole, halved = 3 * rows * columns, 2 * rows * columns
    if len(content) >= count * whole:
        planes = int(dataset.get("PlanarConfiguration", 0) or 0)
        for start in range(0, count * whole, whole):
            frame = content[start : start + whole]
            if planes:
                yield np.moveaxis(frame.reshape(3, rows, columns), 0, -1)
            else:
                yield frame.reshape(rows, columns, 3)
        return
    if len(content) < count * halved or columns % 2:
        raise ValueError(
            f"{len(content)} bytes of pictures for {count} frames of {columns}x{rows} pixels"
        )
    for start in range(0, count * halved, halved):
        pairs = content[start : start + halved].reshape(rows, columns // 2, 4)
        frame = np.empty((rows, columns, 3), np.uint8)
        frame[..., 0] = pairs[..., :2].reshape(rows, columns)
        frame[..., 1:] = np.repeat(pairs[..., 2:], 2, axis=1)
        yield frame


def _colour_reader(dataset: Any, first: np.ndarray) -> Callable[[np.ndarray], np.ndarray]:
    """How pictures become RGB of eight bits; decided on the first one."""
    from pydicom import pixels

    photometric = dataset.PhotometricInterpretation
    if photometric == "PALETTE COLOR":
        # Tables say sixteen bits and often hold eight.
        deep = pixels.apply_color_lut(first, dataset).max() > 255

        def look_up(picture: np.ndarray) -> np.ndarray:
            rgb = pixels.apply_color_lut(picture, dataset)
            return (rgb >> 8 if deep else rgb).astype(np.uint8)

        return look_up
    bits = int(dataset.BitsStored)

    def eight_bits(picture: np.ndarray) -> np.ndarray:
        return (picture >> max(bits - 8, 0)).astype(np.uint8)

    if not _is_ybr(photometric, eight_bits(first)):
        return eight_bits
    # OpenCV has the last two the other way round.
    return lambda picture: cv2.cvtColor(
        np.ascontiguousarray(eight_bits(picture)[..., [0, 2, 1]]), cv2.COLOR_YCrCb2RGB
    )


def _is_ybr(photometric: str, picture: UInt8[np.ndarray, "h w 3"]) -> bool:
    """Whether a picture is brightness and two colours, whatever its tag says.

    Most of an ultrasound picture is grey: three equal values in RGB, colours of 128 in YBR. The tag
    is overruled only where the pixels clearly say otherwise.
    """
    values = picture.astype(np.int16)
    as_rgb = float(np.abs(values[..., 1:] - values[..., :1]).mean())
    as_ybr = float(np.abs(values[..., 1:] - 128).mean())
    if photometric in ("YBR_FULL", "YBR_FULL_422"):
        return as_rgb >= as_ybr / 2
    return photometric == "RGB" and as_ybr < as_rgb / 4


def _shows_colour(rgb: UInt8[np.ndarray, "h w 3"], grey: UInt8[np.ndarray, "h w"]) -> bool:
    """Whether there are colours besides one tint: a sepia picture has one colour per brightness."""
    tones = rgb.reshape(-1, 3).astype(np.int16) - grey.reshape(-1, 1)
    steps = grey.ravel() // _BRIGHTNESS_STEP
    coloured = 0
    for step in np.unique(steps):
        same = tones[steps == step]
        distance = np.abs(same - np.median(same, axis=0)).max(axis=1)
        coloured += int(np.count_nonzero(distance > _COLOUR_DISTANCE))
    return coloured > _COLOUR_FRACTION * grey.size


def _depth(dataset: Any, region: Region) -> _Convert:
    """How stored values become 0 to 255.

    By the file's window where it has one that shows something; eight bits are left as they are;
    deeper values by the bits in which they are stored where they use those, unchanged where they
    would fit into eight bits, and by the range that they use otherwise.
    """
    from pydicom import pixels

    bits, signed = int(dataset.BitsStored), int(dataset.get("PixelRepresentation", 0) or 0)
    if "VOILUTSequence" in dataset and dataset.VOILUTSequence:
        depth = int(dataset.VOILUTSequence[0].LUTDescriptor[2])

        def look_up(picture: np.ndarray) -> np.ndarray:
            shown = pixels.apply_voi(pixels.apply_modality_lut(picture, dataset), dataset)
            return _stretch(shown, 0.0, 2.0**depth - 1)

        return look_up
    window = _window(dataset)
    if bits <= 8 and not signed and window is None:
        return lambda picture: picture.astype(np.uint8)
    low, high = _used_range(dataset, region)
    if window is not None:
        center, width, shape = window
        modality = pixels.apply_modality_lut(np.array([low, high]), dataset)
        inside = min(modality.max(), center + width / 2) - max(modality.min(), center - width / 2)
        if inside > _MIN_WINDOW_OVERLAP * float(np.ptp(modality)):
            return lambda picture: _through_window(
                pixels.apply_modality_lut(picture, dataset), center, width, shape
            )
    if not signed and bits > 8 and high >= 2 ** (bits - 1):
        return lambda picture: (picture >> (bits - 8)).astype(np.uint8)
    if low >= 0 and high <= 255:
        return lambda picture: picture.astype(np.uint8)
    return lambda picture: _stretch(picture, low, high)


def _used_range(dataset: Any, region: Region) -> tuple[float, float]:
    lows, highs = [], []
    for picture in _pictures(dataset):
        lows.append(picture[region].min())
        highs.append(picture[region].max())
    return float(min(lows)), float(max(highs))


def _window(dataset: Any) -> tuple[float, float, str] | None:
    """Center, width and function of the first window; None where there is no possible one."""
    center, width = (_first(dataset, f"Window{name}") for name in ("Center", "Width"))
    shape = str(dataset.get("VOILUTFunction", "") or "LINEAR").upper()
    least = 1 if shape == "LINEAR" else 0
    if (
        center is None
        or width is None
        or not width > least
        or not np.isfinite([center, width]).all()
    ):
        return None
    if shape == "LINEAR":  # PS3.3, C.11.2.1.2.1: from the middle of the first value to the last's.
        return center - 0.5, width - 1, shape
    return (center, width, shape) if shape in ("LINEAR_EXACT", "SIGMOID") else None


def _first(dataset: Any, tag: str) -> float | None:
    value = dataset.get(tag, None)
    if value is None or value == "":
        return None
    return float(value) if isinstance(value, int | float | str) else float(value[0])


def _through_window(
    values: Num[np.ndarray, "h w"], center: float, width: float, shape: str
) -> UInt8[np.ndarray, "h w"]:
    distance = (values.astype(np.float32) - np.float32(center)) / np.float32(width)
    if shape == "SIGMOID":
        with np.errstate(over="ignore"):
            return np.rint(255 / (1 + np.exp(-4 * distance))).astype(np.uint8)
    return np.rint(255 * np.clip(distance + 0.5, 0, 1)).astype(np.uint8)


def _stretch(values: Num[np.ndarray, "h w"], low: float, high: float) -> UInt8[np.ndarray, "h w"]:
    part = (values.astype(np.float32) - np.float32(low)) / np.float32(max(high - low, 1))
    return np.rint(255 * np.clip(part, 0, 1)).astype(np.uint8)


def _is_inverted(dataset: Any) -> bool:
    inverse = str(dataset.get("PresentationLUTShape", "")) == "INVERSE"
    return inverse or dataset.PhotometricInterpretation == "MONOCHROME1"


def frame_count(dataset: Any) -> int:
    """How many frames a data set says that it has."""
    return int(dataset.get("NumberOfFrames", 1) or 1)
