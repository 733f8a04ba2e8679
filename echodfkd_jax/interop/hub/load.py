"""The network of this folder. Needs jax, flatbuffers and numpy, nothing else.

    from load import load

    network = load()
    probabilities = network(frames)  # frames: grey, uint8 (t, height, width) of config.json

`python load.py clip.npz` prints how many pixels each frame's left ventricle has; the file holds
such frames as `frames`. Research software, not a medical device: not for diagnosis or treatment.
"""

import json
import pathlib
import sys
from collections.abc import Callable

import jax.export
import numpy as np

HERE = pathlib.Path(__file__).parent


def load(folder: pathlib.Path = HERE) -> Callable[[np.ndarray], np.ndarray]:
    """The network as a function.

    Returns:
        Takes grey frames in order of time, uint8 (t, height, width), and gives probabilities,
        float32 (t, height, width, structures), structures as in config.json.
    """
    config = json.loads((folder / "config.json").read_text())
    program = jax.export.deserialize(bytearray((folder / "model.stablehlo").read_bytes()))
    size = (config["input"]["height"], config["input"]["width"])

    def network(frames: np.ndarray) -> np.ndarray:
        if frames.dtype != np.uint8 or frames.ndim != 3 or frames.shape[1:] != size:
            raise ValueError(
                f"frames are {frames.dtype}{list(frames.shape)}; expected uint8 (t, "
                f"{size[0]}, {size[1]})"
            )
        found = np.asarray(program.call(frames[None]))[0]
        return found if found.ndim == 4 else found[..., None]

    return network


if __name__ == "__main__":
    found = load()(np.load(sys.argv[1])["frames"])
    print((found[..., 0] > 0.5).sum(axis=(1, 2)).tolist())
