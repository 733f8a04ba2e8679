"""How the cost of a training step grows: `python -m benchmarks.growth`.

One quantity is doubled at a time; the exponent is that of the power law through the medians.
Virtual devices share this machine's cores, so their row shows the overhead of splitting, no gain.
"""

import argparse
import functools
import json
import os
import pathlib

# Four devices made of this machine's cores, set before JAX starts.
os.environ["XLA_FLAGS"] = (
    os.environ.get("XLA_FLAGS", "") + " --xla_force_host_platform_device_count=4"
)

import jax
import jax.numpy as jnp
import numpy as np
import optax

from benchmarks import students, timing
from echodfkd_jax.settings import ParallelSettings
from echodfkd_jax.training.parallel import Parallel
from echodfkd_jax.training.state import TrainState
from echodfkd_jax.training.step import train_step

START = {"blocks": 3, "layers": 1, "filters": 12, "frames": 12, "side": 56, "batch": 4}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repetitions", type=int, default=3)
    options = parser.parse_args()
    rows = []
    for name, values in {
        "layers": (1, 2, 4),
        "filters": (6, 12, 24),
        "frames": (6, 12, 24),
        "side": (28, 56, 112),
        "batch": (2, 4, 8),
    }.items():
        functions = {f"{name}={v}": _step(**{**START, name: v}) for v in values}
        times = timing.alternate(functions, repetitions=options.repetitions)
        medians = [times[key]["median_s"] for key in functions]
        exponent = float(np.polyfit(np.log(values), np.log(medians), 1)[0])
        rows.append({"case": name, "times": times, "exponent": exponent})
    functions = {f"devices={n}": _step(**START, devices=n) for n in (1, 2, 4)}
    times = timing.alternate(functions, repetitions=options.repetitions)
    rows.append({"case": "virtual devices", "times": times})
    rows.append(_published_run())
    timing.emit("growth", rows)


def _published_run() -> dict:
    """10,030 clips x 350 epochs on one GPU: steps, and hours where `gpu.json` has a step's time."""
    steps = 10_030 // 32 * 350
    row = {"case": f"10,030 clips x 350 epochs at batch 32, {steps:,} steps on a GPU", "times": {}}
    path = pathlib.Path(__file__).with_name("gpu.json")
    if not path.exists():
        return {**row, "note": "not measured: `python -m benchmarks.gpu` has not run on a GPU yet"}
    found = json.loads(path.read_text())
    wanted = {"figure": "training", "side": "ours", "blocks": 3, "layers": 3, "batch": 32}
    seconds = [
        each["median_s"]
        for each in found["rows"]
        if wanted.items() <= each.items() and "median_s" in each
    ]
    if not seconds:
        return {**row, "note": "not measured: `gpu.json` has no such step"}
    return {**row, "note": f"{steps * min(seconds) / 3600:.1f} hours on {found['ours']['device']}"}


def _step(blocks, layers, filters, frames, side, batch, devices: int = 1):
    parallel = Parallel(ParallelSettings(mode="jit"), batch, devices=jax.devices()[:devices])
    model, variables = students.ours(blocks, layers, filters=filters, axis_name=parallel.axis_name)
    optimizer = optax.adam(1e-3)
    params = variables["params"]
    state = parallel.replicate(
        TrainState(
            jnp.zeros((), jnp.int32), params, variables["batch_stats"], optimizer.init(params)
        )
    )
    video = students.clips(batch, frames, side)[..., None]
    data = parallel.shard({"video": video, "target": video})
    step = parallel.compile(
        functools.partial(
            train_step,
            model=model,
            optimizer=optimizer,
            expand=lambda b: b,
            axis_name=parallel.axis_name,
        )
    )
    return lambda: step(state, data)


if __name__ == "__main__":
    main()
