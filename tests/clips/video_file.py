"""Writes small video files that say something about how they are to be shown."""

import fractions
import struct

import av


def write_video(path, frames, *, rate=50, codec="libx264", times_ms=None, sar=None, matrix=None):
    """Writes grey frames, nearly without loss.

    Args:
        path: its suffix says the container.
        frames: uint8 (t, h, w), sides even.
        rate: frames per second.
        codec: FFmpeg's name of the encoder.
        times_ms: of every frame, instead of an even rate.
        sar: width and height of a pixel.
        matrix: nine integers of a display matrix (16.16 fixed point).
    """
    options = {"libx264": {"crf": "8", "bf": "0"}, "wmv2": {"b": "4000000"}}.get(codec, {})
    if codec in ("mpeg4", "mjpeg", "mpeg1video"):
        options = {"qmin": "2", "qmax": "2"}
    with av.open(str(path), mode="w") as container:
        stream = container.add_stream(codec, rate=rate, options=options)
        stream.height, stream.width = frames.shape[1:]
        stream.pix_fmt = {"gif": "gray", "mjpeg": "yuvj420p"}.get(codec, "yuv420p")
        if sar:
            stream.codec_context.sample_aspect_ratio = fractions.Fraction(*sar)
        if matrix:
            stream.set_display_matrix(matrix)
        if times_ms is not None:
            stream.codec_context.time_base = fractions.Fraction(1, 1000)
        for index, grey in enumerate(frames):
            frame = av.VideoFrame.from_ndarray(grey, format="gray").reformat(format=stream.pix_fmt)
            if times_ms is not None:
                frame.pts, frame.time_base = int(times_ms[index]), fractions.Fraction(1, 1000)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path


def display_matrix(a, b, c, d):
    """The matrix that shows a pixel (x, y) at (a x + c y, b x + d y)."""
    one = 1 << 16
    return [a * one, b * one, 0, c * one, d * one, 0, 0, 0, 1 << 30]


def trim(path, start_ms, length_ms):
    """Rewrites the edit list of an MP4 so that a part of it is shown; nothing is encoded again."""
    content = bytearray(path.read_bytes())
    header, edits = content.index(b"mdhd"), content.index(b"elst")
    (scale,) = struct.unpack_from(">I", content, header + 16)
    _, _, first = struct.unpack_from(">IIi", content, edits + 8)
    struct.pack_into(">Ii", content, edits + 12, length_ms, first + start_ms * scale // 1000)
    path.write_bytes(content)
    return path
