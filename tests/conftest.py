"""Shared pytest set-up."""

import os
import zlib

import pytest
from absl import flags

from echodfkd_jax import runtime

# Grain's worker processes read absl flags, which nobody parses under pytest.
flags.FLAGS.mark_as_parsed()


def pytest_addoption(parser: pytest.Parser) -> None:
    """Adds `--part=K/N`."""
    parser.addoption("--part", default="0/1", help="K/N: the files of one part of N, from 0")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leaves out the files of other parts; a file is always in the same one."""
    part, parts = map(int, config.getoption("--part").split("/"))
    if not 0 <= part < parts:
        raise pytest.UsageError(f"--part={part}/{parts}: expected 0 to {parts - 1} of {parts}")
    here = [zlib.crc32(item.location[0].encode()) % parts == part for item in items]
    config.hook.pytest_deselected(
        items=[i for i, mine in zip(items, here, strict=True) if not mine]
    )
    items[:] = [item for item, mine in zip(items, here, strict=True) if mine]


def pytest_configure(config: pytest.Config) -> None:
    """Sets JAX up as the command does, before anything imports it, and for what tests start.

    All programs that are compiled are kept: many tests run the same ones, each in a job or a
    process of its own.
    """
    os.environ["JAX_COMPILATION_CACHE_DIR"] = str(config.cache.mkdir("xla"))
    os.environ["JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS"] = "0"
    runtime.configure()
