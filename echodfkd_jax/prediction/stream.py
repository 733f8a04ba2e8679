"""Part of stage `predict`: frames from standard input, one line of JSON for each as it arrives.

Input: raw grey frames, one byte a pixel, 112 rows of 112, one frame after the other, no header.
"""

import io
import json
import pathlib
import sys
import time
from collections.abc import Iterator
from typing import BinaryIO

import numpy as np
from jaxtyping import UInt8

from echodfkd_jax import files
from echodfkd_jax.clips.inputs import SIDE_PX
from echodfkd_jax.disk import writing
from echodfkd_jax.errors import UserError
from echodfkd_jax.masks import LV, MASK_THRESHOLD
from echodfkd_jax.networks.loaded import LoadedNetwork
from echodfkd_jax.networks.streaming import Stream

MASKS_FILE = "stream.masks"


def run_stream(network: LoadedNetwork, output: files.PathLike = "") -> None:
    """Segments frames of standard input until it ends.

    Args:
        network: a student.
        output: a folder for the soft masks, as raw bytes like the frames, one structure's after the
            other's; empty: none.

    Raises:
        UserError: the model has no memory, or the input ends within a frame.
    """
    if not hasattr(network.model, "advance"):
        raise UserError("config.predict.stream needs a recurrent student; this one has no memory")
    stream = Stream(network, SIDE_PX, SIDE_PX)
    latencies_ms = []
    masks: BinaryIO | None = None
    if output:
        if files.is_bucket(output):
            raise UserError(f"config.predict.output={output}: a stream's masks need a local folder")
        with writing(output):
            masks = pathlib.Path(files.make_folder(output), MASKS_FILE).open("wb")  # noqa: SIM115
    try:
        for index, frame in enumerate(read_frames(sys.stdin.buffer)):
            start = time.perf_counter()
            mask = stream.push(frame)
            latencies_ms.append(1000 * (time.perf_counter() - start))
            areas = {
                structure: int(np.count_nonzero(mask[..., number] > MASK_THRESHOLD))
                for number, structure in enumerate(network.structures)
            }
            line = {
                "frame": index,
                "area_px": areas.pop(LV),
                **({"areas_px": areas} if areas else {}),
                "latency_ms": round(latencies_ms[-1], 3),
            }
            print(json.dumps(line), flush=True)
            if masks:
                with writing(output):
                    masks.write(np.moveaxis(mask, -1, 0).tobytes())
                    masks.flush()
    finally:
        if masks:
            masks.close()
    if latencies_ms:
        median, late = np.percentile(latencies_ms, [50, 95])
        count = len(latencies_ms)
        print(f"{count} frames; {median:.1f} ms, 95 % within {late:.1f} ms", file=sys.stderr)


def read_frames(source: io.BufferedIOBase | BinaryIO) -> Iterator[UInt8[np.ndarray, "112 112"]]:
    """Yields raw frames as they arrive.

    Raises:
        UserError: the source ends within a frame.
    """
    size = SIDE_PX * SIDE_PX
    while content := source.read(size):
        if len(content) < size:
            raise UserError(
                f"standard input ends with {len(content)} bytes of a frame; expected raw grey "
                f"frames of {SIDE_PX}x{SIDE_PX} = {size} bytes"
            )
        yield np.frombuffer(content, np.uint8).reshape(SIDE_PX, SIDE_PX)
