"""What a user waits for: from the command to the first training step, and `--help`.

    python -m benchmarks.start_up

The smoke configuration is prepared first; then its training is started with an empty compilation
cache and again with a filled one. `first step` is when the first line of metrics is written.
"""

import argparse
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import time

from benchmarks import timing

ROOT = pathlib.Path(__file__).parents[1]
MAIN = [sys.executable, "main.py"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repetitions", type=int, default=2)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        rows = _measure(pathlib.Path(folder), options.repetitions)
    timing.emit("start_up", rows)


def _measure(folder: pathlib.Path, repetitions: int) -> list[dict]:
    environment = os.environ | {
        "JAX_COMPILATION_CACHE_DIR": str(folder / "cache"),
        "TFDS_DATA_DIR": str(folder / "data"),
    }
    smoke = [*MAIN, "--config=configs/synthetic.py:smoke"]
    workdir = folder / "run"
    place = f"--config.workdir={workdir}"
    _run([*smoke, "--stage=prepare", place], environment)

    def first_step() -> float:
        shutil.rmtree(workdir, ignore_errors=True)
        start = time.perf_counter()
        process = subprocess.Popen(
            [*smoke, "--stage=train", place], cwd=ROOT, env=environment, stdout=subprocess.DEVNULL
        )
        metrics = workdir / "metrics.jsonl"
        while not (metrics.exists() and metrics.stat().st_size):
            if process.poll() not in (None, 0):
                raise RuntimeError(f"training ended with {process.returncode}")
            time.sleep(0.02)
        seconds = time.perf_counter() - start
        process.wait()
        return seconds

    cold, warm, usage = [], [], []
    for _ in range(repetitions):
        shutil.rmtree(folder / "cache", ignore_errors=True)
        cold.append(first_step())
        warm.append(first_step())
        start = time.perf_counter()
        _run([*MAIN, "--help"], environment)
        usage.append(time.perf_counter() - start)
    times = {"empty cache": cold, "filled cache": warm}
    return [
        {
            "case": "command to first step, :smoke",
            "times": {name: timing.spread(seconds) for name, seconds in times.items()},
        },
        {"case": "main.py --help", "times": {"help": timing.spread(usage)}},
    ]


def _run(command: list[str], environment: dict[str, str]) -> None:
    subprocess.run(command, cwd=ROOT, env=environment, check=True, capture_output=True)


if __name__ == "__main__":
    main()
