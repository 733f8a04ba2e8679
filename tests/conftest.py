"""Shared pytest set-up."""

import os

import pytest
from absl import flags

from echodfkd_jax import runtime

# Grain's worker processes read absl flags, which nobody parses under pytest.
flags.FLAGS.mark_as_parsed()


def pytest_configure(config: pytest.Config) -> None:
    """Sets JAX up as the command does, before anything imports it, and for what tests start.

    All programs that are compiled are kept: many tests run the same ones, each in a job or a
    process of its own.
    """
    os.environ["JAX_COMPILATION_CACHE_DIR"] = str(config.cache.mkdir("xla"))
    os.environ["JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS"] = "0"
    runtime.configure()
