"""Teachers: frames a second of the shipped one and of DeepLabV3: `python -m benchmarks.labelling`.

DeepLabV3 has random weights here, which costs the same.
"""

import argparse

import jax
import jax.numpy as jnp

from benchmarks import students, timing
from echodfkd_jax.networks.deeplabv3 import DeepLabV3
from echodfkd_jax.teachers import load_teacher

FRAMES = 64
DEEPLAB_FRAMES = 4


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repetitions", type=int, default=5)
    options = parser.parse_args()
    (frames,) = students.clips(1, FRAMES, 112)
    shipped = load_teacher("unet")
    deeplab = DeepLabV3()
    rgb = jnp.zeros((DEEPLAB_FRAMES, 112, 112, 3))
    variables = jax.jit(deeplab.init)(jax.random.key(0), rgb)
    apply = jax.jit(deeplab.apply)
    times = timing.alternate(
        {"shipped": lambda: shipped(frames), "deeplabv3": lambda: apply(variables, rgb)},
        repetitions=options.repetitions,
    )
    counts = {"shipped": FRAMES, "deeplabv3": DEEPLAB_FRAMES}
    rows = []
    for name, count in counts.items():
        rate = count / times[name]["median_s"]
        rows.append(
            {"case": f"{name}, 112x112", "times": {name: times[name]}, "frames_per_s": rate}
        )
    rows[1] |= timing.cost(apply, variables, rgb)
    timing.emit("labelling", rows)


if __name__ == "__main__":
    main()
