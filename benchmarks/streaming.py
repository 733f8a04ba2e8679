"""Latency of one frame with the shipped student, on one core: `python -m benchmarks.streaming`.

Frames of 112x112 come one by one, as from a scanner; the time is from the frame to its mask.
"""

import argparse
import os
import time

# One core only, set before JAX counts them.
if hasattr(os, "sched_setaffinity"):
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})

from benchmarks import students, timing
from echodfkd_jax.networks.shipped import load_student
from echodfkd_jax.networks.streaming import Stream


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--frames", type=int, default=300)
    options = parser.parse_args()
    student = load_student()
    (frames,) = students.clips(1, options.frames, 112)
    stream = Stream(student, 112, 112)
    stream.push(frames[0])
    seconds = []
    for frame in frames[1:]:
        start = time.perf_counter()
        stream.push(frame)
        seconds.append(time.perf_counter() - start)
    slowest = sorted(seconds)[int(0.99 * len(seconds))]
    times = {"one frame": {**timing.spread(seconds), "percentile_99_s": slowest}}
    timing.emit("streaming", [{"case": "shipped student, 112x112, one core", "times": times}])


if __name__ == "__main__":
    main()
