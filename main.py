"""One command for every stage: `python main.py --config=configs/synthetic.py [--stage=train]`.

This file reads the command line and hands over; what a stage does is in `echodfkd_jax/jobs/`.
"""

import importlib
import logging
import sys

from echodfkd_jax import command_line, runtime
from echodfkd_jax.errors import PreemptedError, UserError


def _quiet() -> None:
    """Warnings and errors are shown, in one style; what libraries tell about themselves is not."""
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s: %(message)s", force=True)
    # Orbax and tfds log every step through it, and with a traceback what they raise besides.
    logging.getLogger("absl").setLevel(logging.CRITICAL)


def main(argv: list[str]) -> int:
    """Runs the stages that `argv` asks for and returns the exit status."""
    _quiet()
    runtime.configure()
    try:
        command = command_line.parse(argv)
        for stage in command.stages:
            importlib.import_module(f"echodfkd_jax.jobs.{stage}").run(command.config)
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except PreemptedError as stopped:
        print(stopped, file=sys.stderr)
        return 143
    except KeyboardInterrupt:
        print("interrupted; the same command continues from the last checkpoint", file=sys.stderr)
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv))
