"""One command for every stage: `python main.py --config=configs/synthetic.py [--stage=train]`.

This file reads the command line and hands over; what a stage does is in `echodfkd_jax/jobs/`.
"""

import importlib
import logging
import os
import pathlib
import sys

from echodfkd_jax import command_line
from echodfkd_jax.errors import UserError

# Compiled programs are kept between runs: the second start is faster by the compilation.
COMPILATION_CACHE = pathlib.Path.home() / ".cache" / "echodfkd_jax" / "xla"


def _quiet() -> None:
    """Warnings and errors are shown, in one style; what libraries tell about themselves is not."""
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s: %(message)s", force=True)
    logging.getLogger("absl").setLevel(logging.ERROR)  # Orbax and tfds log every step through it.
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")  # XLA's own log, before it is loaded.


def _keep_compiled_programs() -> None:
    os.environ.setdefault("JAX_COMPILATION_CACHE_DIR", str(COMPILATION_CACHE))
    os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0.5")


def main(argv: list[str]) -> int:
    """Runs the stages that `argv` asks for and returns the exit status."""
    _quiet()
    _keep_compiled_programs()
    try:
        command = command_line.parse(argv)
        for stage in command.stages:
            importlib.import_module(f"echodfkd_jax.jobs.{stage}").run(command.config)
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("interrupted; the same command continues from the last checkpoint", file=sys.stderr)
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv))
