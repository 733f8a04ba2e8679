"""Grey pictures in the compressions that OpenCV does not write."""

import base64
import struct

import numpy as np

# 16x16 in JPEG-LS, by CharLS.
JPEG_LS = base64.b64decode(
    "/9j/9wALCAAQABABAREA/9oACAEBAAAAAAA4UK9q0/u7t3dmMjk220lRjVVV+hH/f7v/eif/fb//bf9/b/97f/9b/3yf"
    "/2T/f1//QAAAW+//Sy//QADwoP/Z"
)


def jpeg_ls_picture():
    """What `JPEG_LS` shows."""
    y, x = np.mgrid[:16, :16]
    return ((9 * x + 5 * y) % 200 + 20).astype(np.uint8)


def lossless_jpeg(picture):
    """JPEG Lossless, Process 14, Selection Value 1 (ITU-T T.81, annex H), of uint8 (h, w)."""
    height, width = picture.shape
    values = picture.astype(int)
    predicted = np.empty_like(values)
    predicted[:, 1:] = values[:, :-1]
    predicted[1:, 0] = values[:-1, 0]
    predicted[0, 0] = 128
    bits = []
    for difference in (values - predicted).ravel().tolist():
        size = abs(difference).bit_length()
        bits.append(f"{size:04b}")  # All codes are of four bits: the size itself.
        low = difference if difference > 0 else difference + (1 << size) - 1
        bits.append(f"{low:0{size}b}" if size else "")
    text = "".join(bits)
    text += "1" * (-len(text) % 8)
    data = int(text, 2).to_bytes(len(text) // 8).replace(b"\xff", b"\xff\x00")
    lengths = bytes([0, 0, 0, 9, *[0] * 12])
    return b"".join(
        (
            b"\xff\xd8",
            b"\xff\xc3" + struct.pack(">HBHHB", 11, 8, height, width, 1) + b"\x01\x11\x00",
            b"\xff\xc4" + struct.pack(">HB", 19 + 9, 0) + lengths + bytes(range(9)),
            b"\xff\xda" + struct.pack(">HB", 8, 1) + b"\x01\x00\x01\x00\x00",
            data,
            b"\xff\xd9",
        )
    )
