"""Reading windows of clips against decoding whole records, and against what a step consumes.

    python -m benchmarks.input_pipeline

Makes a data set of generated clips of 176 frames in a temporary folder, as `--stage=prepare` does.
A window is 25 frames with their masks. `record` decodes a whole record; `window` is what training
does from its second pass on, when decoded clips lie in memory (`config.input.cache_gib`).
"""

import argparse
import functools
import pathlib
import tempfile
import time
from collections.abc import Iterator

import jax
import jax.numpy as jnp
import numpy as np
import optax

from benchmarks import students, timing
from configs import synthetic
from echodfkd_jax.datasets import prepared as dataset
from echodfkd_jax.datasets import recipe
from echodfkd_jax.jobs import prepare
from echodfkd_jax.settings import InputSettings
from echodfkd_jax.training.input import DatasetInput
from echodfkd_jax.training.state import TrainState
from echodfkd_jax.training.step import train_step

CLIPS, FRAMES, BATCH = 16, 176, 4


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repetitions", type=int, default=10)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        rows = _measure(pathlib.Path(folder), options.repetitions)
    timing.emit("input_pipeline", rows)


def _measure(folder: pathlib.Path, repetitions: int) -> list[dict]:
    config = synthetic.get_config()
    config.dataset.update(
        data_dir=str(folder), num_train=CLIPS, num_validation=1, num_test=1, num_frames=FRAMES
    )
    prepare.run(config)
    place = dataset.directory(recipe.fields_of(config), config.teacher.to_dict())
    clips = dataset.open_split(place, "train")
    rows = []
    for subsample, side in ((1, 112), (2, 56)):
        settings = InputSettings(**{**config.input.to_dict(), "subsample": subsample})
        data = DatasetInput(
            clips, dataset.open_split(place, "validation"), settings, batch_size=1, seed=0
        )
        for step in range(CLIPS):  # Every clip is decoded once.
            data.batch(step)
        steps = iter(np.random.default_rng(0).integers(CLIPS, 10**6, 10**4).tolist())
        times = timing.alternate(
            {
                "record": functools.partial(_record, clips, steps),
                "window": functools.partial(_window, data, steps),
            },
            repetitions=5 * repetitions,
        )
        row = {"case": f"25 frames of {side}x{side} with masks", "times": times}
        row["times_as_fast"] = times["record"]["median_s"] / times["window"]["median_s"]
        rows.append(row)
    rows.append(_against_a_step(config, place))
    return rows


def _record(clips: dataset.ClipSource, steps: Iterator[int]) -> None:
    clips[next(steps) % CLIPS]


def _window(data: DatasetInput, steps: Iterator[int]) -> None:
    data.batch(next(steps))


def _against_a_step(config, place) -> dict:
    """Windows a second from the running pipeline, and windows a second that training eats."""
    data = DatasetInput(
        dataset.open_split(place, "train"),
        dataset.open_split(place, "validation"),
        InputSettings(**config.input),
        batch_size=BATCH,
        seed=0,
    )
    batches = data.batches(0)
    for _ in range(2 * CLIPS // BATCH):
        batch = next(batches)
    start, count = time.perf_counter(), 100
    for _ in range(count):
        next(batches)
    windows_per_s = count * BATCH / (time.perf_counter() - start)

    model, variables = students.ours(
        3, 1, subsampling=2, normalise=True, skips=True, burn_in_frames=3
    )
    optimizer = optax.adam(1e-3)
    params = variables["params"]
    state = TrainState(
        jnp.zeros((), jnp.int32), params, variables["batch_stats"], optimizer.init(params)
    )
    step = jax.jit(
        functools.partial(
            train_step, model=model, optimizer=optimizer, expand=data.expand, axis_name=None
        )
    )
    times = timing.alternate({"step": lambda: step(state, batch)}, repetitions=5)
    eaten = BATCH / times["step"]["median_s"]
    return {
        "case": f"the default student's step, batch {BATCH}",
        "times": times,
        "windows_per_s": windows_per_s,
        "windows_eaten_per_s": eaten,
        "input_over_step": windows_per_s / eaten,
    }


if __name__ == "__main__":
    main()
