"""Thousands of clips in one call: `python -m benchmarks.batches [--clips 1000] [--output FOLDER]`.

Generated clips of three sizes and three lengths through `echodfkd_jax.predict`: clips per second
to the first record, after it and around the last hundred, and the memory of the process after
every hundred. With an output folder files are written, too; the same call then continues what was
cut short. Made clips count neither in time nor as new memory: they are made before.
"""

import argparse
import pathlib
import resource
import statistics
import sys
import time
from collections.abc import Iterator

import cv2
import jax
import numpy as np

import echodfkd_jax
from benchmarks import timing

# Frames, height and width. One program makes them all.
SIZES = ((24, 112, 112), (32, 144, 192), (40, 240, 200))
# Different clips; the others are the same ones a little brighter or darker, so that none repeats.
_MADE = 24


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--clips", type=int, default=1000)
    parser.add_argument("--student", default="small")
    parser.add_argument("--output", default="")
    options = parser.parse_args()
    base = _base()
    times, memory = [time.perf_counter()], []

    def clips() -> Iterator[np.ndarray]:
        for number in range(options.clips):
            times.append(time.perf_counter())
            if number % 100 == 0:
                memory.append(_memory_mib())
            yield _clip(base, number)

    records = echodfkd_jax.predict(clips(), options.student, fps=50.0, output=options.output)
    times.append(time.perf_counter())
    memory.append(_memory_mib())
    failed = sum(record["status"] != "ok" for record in records)
    timing.emit("batches", [_row(options, times, memory, failed)])


def _row(options: argparse.Namespace, times: list[float], memory: list[float], failed: int) -> dict:
    steps = np.diff(times)
    # A clip is asked for two clips before it is outlined.
    first, early, late = steps[:3].sum(), steps[3:103], steps[-100:]
    growth = memory[-1] - memory[min(1, len(memory) - 1)]
    for number, mib in enumerate(memory):
        print(f"after {min(100 * number, options.clips)} clips: {mib:.0f} MiB", file=sys.stderr)
    rates = [1 / statistics.mean(part) for part in (early, late) if len(part)]
    return {
        "case": f"{options.clips} clips of {len(SIZES)} sizes, student {options.student}"
        + (", with files" if options.output else ""),
        "times": {
            "first record": timing.spread([float(first)]),
            "a clip of the first hundred": timing.spread(early.tolist()),
            "a clip of the last hundred": timing.spread(late.tolist()),
        },
        "clips_per_s": rates,
        "memory_mib": memory,
        "failed": failed,
        "note": f"{rates[0]:.2f} clips/s at first, {rates[-1]:.2f} at last "
        f"({rates[-1] / rates[0]:.2f}); memory {growth:+.0f} MiB after the first hundred; "
        f"{failed} failed",
    }


def _base() -> list[np.ndarray]:
    longest = max(frames for frames, _, _ in SIZES)
    make = jax.jit(echodfkd_jax.make_clip, static_argnames="num_frames")
    keys = jax.random.split(jax.random.key(0), _MADE)
    return [np.asarray(make(key, num_frames=longest).frames) for key in keys]


def _clip(base: list[np.ndarray], number: int) -> np.ndarray:
    """The clip of a number; the same one in every call."""
    count, height, width = SIZES[number % len(SIZES)]
    gain = 0.8 + 0.4 * (number / 7919 % 1)
    frames = base[number % len(base)][:count]
    scaled = np.stack([cv2.resize(frame, (width, height)) for frame in frames])
    return np.clip(np.rint(gain * scaled), 0, 255).astype(np.uint8)


def _memory_mib() -> float:
    """What the process holds now; where the system does not say, the most it ever held."""
    statm = pathlib.Path("/proc/self/statm")
    if statm.exists():
        return int(statm.read_text().split()[1]) * resource.getpagesize() / 2**20
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**10


if __name__ == "__main__":
    main()
