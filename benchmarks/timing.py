"""How everything here is timed: alternately, against peaks of the same machine in the same minute.

Small virtual machines are noisy and share their cores, so single times mean little. What is
compared is alternated, medians and quartiles are kept, and the floor (operations over the rate of a
large matrix product, bytes over the rate of a large copy) is measured in the same process.
"""

import datetime
import json
import os
import pathlib
import platform
import statistics
import subprocess
import time
from collections.abc import Callable, Mapping
from typing import Any

from echodfkd_jax import runtime

runtime.configure()  # As `main.py` does, before JAX reads the environment.

import jax  # noqa: E402
import jax.numpy as jnp  # noqa: E402


def alternate(
    functions: Mapping[str, Callable[[], Any]], *, repetitions: int, warmup: int = 1
) -> dict[str, dict[str, float]]:
    """Times functions one after another, over and over.

    Args:
        functions: by name; each has to return what has to be waited for, or nothing.
        repetitions: rounds that count.
        warmup: rounds before, in which programs are compiled and memory is got.

    Returns:
        By name: `median_s`, the quartiles `low_s` and `high_s`, and `cpu_s`, the median processor
        time of the whole process, which other programs on the machine disturb less.
    """
    wall: dict[str, list[float]] = {name: [] for name in functions}
    cpu: dict[str, list[float]] = {name: [] for name in functions}
    for number in range(warmup + repetitions):
        for name, function in functions.items():
            start, start_cpu = time.perf_counter(), time.process_time()
            jax.block_until_ready(function())
            if number >= warmup:
                wall[name].append(time.perf_counter() - start)
                cpu[name].append(time.process_time() - start_cpu)
    return {name: {**spread(wall[name]), "cpu_s": statistics.median(cpu[name])} for name in wall}


def spread(seconds: list[float]) -> dict[str, float]:
    """Median and quartiles of some times, and how many there are."""
    ordered = sorted(seconds)
    last = len(ordered) - 1
    return {
        "median_s": statistics.median(ordered),
        "low_s": ordered[round(0.25 * last)],
        "high_s": ordered[round(0.75 * last)],
        "repetitions": len(ordered),
    }


def peaks(dtype: Any = jnp.float32) -> dict[str, float]:
    """What this machine can do: `flops_per_s` of a large product, `bytes_per_s` of a large copy."""
    on_cpu = jax.default_backend() == "cpu"
    side = 2048 if on_cpu else 8192
    matrix = jnp.ones((side, side), dtype)
    product = jax.jit(jnp.matmul)
    vector = jnp.ones(2**26 if on_cpu else 2**29, jnp.float32)
    copy = jax.jit(lambda x: x + 1)
    times = alternate(
        {"product": lambda: product(matrix, matrix), "copy": lambda: copy(vector)}, repetitions=5
    )
    return {
        "flops_per_s": 2 * side**3 / times["product"]["low_s"],
        "bytes_per_s": 2 * vector.nbytes / times["copy"]["low_s"],
    }


def cost(function: Callable[..., Any], *arguments: Any) -> dict[str, float]:
    """Operations and bytes of a jitted function as XLA counts them: a loop's body once."""
    analysis = function.lower(*arguments).compile().cost_analysis()
    return {
        "xla_flops": float(analysis.get("flops", float("nan"))),
        "xla_bytes": float(analysis.get("bytes accessed", float("nan"))),
    }


def floor(flops: float, num_bytes: float, peak: Mapping[str, float]) -> float:
    """The least time in seconds in which so many operations and bytes can be done."""
    return max(flops / peak["flops_per_s"], num_bytes / peak["bytes_per_s"])


def environment() -> dict[str, Any]:
    """Where and when a figure was measured."""
    device = jax.devices()[0]
    commit = subprocess.run(
        ["git", "describe", "--always", "--dirty"], capture_output=True, text=True, check=False
    ).stdout.strip()
    return {
        "device": f"{device.device_kind} ({_processor()}, {os.cpu_count()} cores)",
        "date": datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%d"),
        "commit": commit,
        "jax": jax.__version__,
        "load_average": os.getloadavg()[0],
    }


def emit(figure: str, rows: list[dict[str, Any]]) -> None:
    """Prints a figure's rows as one line of JSON, the last that a benchmark prints."""
    print(json.dumps({"figure": figure, **environment(), "rows": rows}))


def _processor() -> str:
    try:
        lines = pathlib.Path("/proc/cpuinfo").read_text().splitlines()
        names = [line.split(":", 1)[1].strip() for line in lines if "model name" in line]
        return names[0] if names else platform.machine()
    except OSError:
        return platform.machine()
