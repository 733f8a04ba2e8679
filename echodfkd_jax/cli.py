"""The command line: `--config`, its overrides, and `--stage`; mistakes are answered in one line.

    python main.py --config=FILE.py:MODE --stage=train --config.train.batch_size=8
    echodfkd predict clip.avi

Both are the same program; the second form names the stage first.
"""

import dataclasses
import difflib
import importlib
import io
import logging
import os
import pathlib
import re
import sys
import threading
from collections.abc import Iterable
from typing import Any

import ml_collections
from absl import flags
from ml_collections import config_flags

from echodfkd_jax import disk, files, runtime, settings
from echodfkd_jax.errors import PreemptedError, UserError

# In the order in which "all" runs them; each is a module of `echodfkd_jax/jobs/`.
ALL_STAGES = ("prepare", "train", "evaluate", "report")
# The same where the network makes clips.
GENERATOR_STAGES = ("prepare", "train", "generate")
STAGES = (*ALL_STAGES, "generate", "predict", "serve", "export", "sweep", "import_student", "all")
# These need no experiment: with the defaults they use the shipped student in the current folder.
_WITHOUT_CONFIG = ("predict", "serve", "export", "evaluate")

# Fields that hold the path of a file or a folder, in whatever section.
_PATH_FIELDS = frozenset(
    {
        *("workdir", "data_dir", "manual_dir", "weights", "clips_dir", "cache_dir"),
        *("inputs", "output", "file", "onnx_python"),
    }
)
# Stages that compute nothing.
_WITHOUT_DEVICE = ("report",)

_HELP = f"""\
usage: python main.py --config=FILE.py[:MODE] [--stage=STAGE] [--config.SECTION.FIELD=VALUE ...]
       echodfkd STAGE [--config=FILE.py[:MODE]] [--config.SECTION.FIELD=VALUE ...]
       echodfkd predict CLIP

  --config   the experiment, e.g. configs/synthetic.py or configs/synthetic.py:smoke;
             the file's docstring tells what it does and how long it takes;
             {", ".join(_WITHOUT_CONFIG)} work without one, in the current folder
  --stage    {", ".join(STAGES)} (default: all, which skips what is done)
  --config.SECTION.FIELD=VALUE
             sets one field, e.g. --config.train.batch_size=4 --config.workdir=runs/mine
  --help     this text; --help=config: every field, its default and its meaning
"""


@dataclasses.dataclass(frozen=True)
class Command:
    """What is to be run: the resolved, locked configuration and the stages in order."""

    config: ml_collections.ConfigDict
    stages: tuple[str, ...]


def parse(argv: list[str]) -> Command:
    """Reads the command line.

    Args:
        argv: program name and arguments. With `--help` the usage is printed and the program ends.

    Raises:
        UserError: a flag, a field, a value, a stage or the file does not exist or does not fit;
            the message names it and the nearest valid ones.
    """
    if {"--help", "-h", "-help"} & set(argv[1:]):
        print(_HELP, end="")
        sys.exit(0)
    if "--help=config" in argv:
        print(settings.describe())
        sys.exit(0)
    flags.FLAGS.mark_as_parsed()  # Grain's worker processes refuse to start otherwise.
    stage, argv = _first_word(argv)
    argv = [_with_path(arg) for arg in argv]
    sys.modules.pop("config_config", None)  # ml_collections runs a file in what one before left.
    values = flags.FlagValues()
    flags.DEFINE_string("stage", stage, "what is run", flag_values=values)
    given = any(arg.lstrip("-").split("=")[0] == "config" for arg in argv[1:])
    options = {"flag_values": values, "lock_config": True, "sys_argv": argv}
    if given:
        config_flags.DEFINE_config_file("config", None, "the experiment", **options)
    else:
        defaults = settings.default_config()
        config_flags.DEFINE_config_dict("config", defaults, "the defaults", **options)
    left_over = _read(values, argv)
    stage = values.stage
    if stage not in STAGES:
        raise UserError(f"--stage={stage} is unknown{_nearest(stage, STAGES)}")
    if not given and stage not in _WITHOUT_CONFIG:
        raise UserError("--config is missing; write for example --config=configs/synthetic.py")
    if left_over and stage == "predict":
        values.config.predict.inputs = left_over.pop(0)
    if left_over:
        raise UserError(f"argument {left_over[0]!r} is not a flag; write --name=value, see --help")
    _expand_paths(values.config)
    return Command(values.config, _all_stages(values.config) if stage == "all" else (stage,))


def _all_stages(config: ml_collections.ConfigDict) -> tuple[str, ...]:
    name = config.get("model", {}).get("name", "")
    return GENERATOR_STAGES if settings.is_generator(name) else ALL_STAGES


def _first_word(argv: list[str]) -> tuple[str, list[str]]:
    """The stage, where the command line begins with one, and what else there is."""
    if len(argv) > 1 and argv[1] in STAGES:
        return argv[1], [argv[0], *argv[2:]]
    return "all", argv


def _with_path(arg: str) -> str:
    """`--config=~/mine.py` with the folder that a shell would put there."""
    name, equals, value = arg.partition("=")
    return name + equals + files.expanded(value) if name.lstrip("-") == "config" else arg


def _read(values: flags.FlagValues, argv: list[str]) -> list[str]:
    """Sets the flags and returns the arguments that are none; every mistake becomes one line."""
    overrides = any(arg.startswith("--config.") for arg in argv[1:])
    try:
        left_over = values(argv)[1:]
        values.config.lock()
        return left_over
    except flags.UnrecognizedFlagError as error:
        nearest = _nearest(error.flagname, ("config", "stage"))
        raise UserError(f"flag --{error.flagname} is unknown{nearest}") from error
    except (KeyError, AttributeError) as error:
        if not overrides:
            raise UserError(f"--config={_file(argv)} cannot be used: {error}") from error
        raise UserError(_unknown_field(error, argv)) from error
    except OSError as error:
        raise UserError(_missing_file(argv)) from error
    except (SyntaxError, ImportError) as error:
        raise UserError(f"--config={_file(argv)} cannot be used: {error}") from error
    except (flags.Error, TypeError, ValueError, RecursionError, MemoryError) as error:
        # A traceback of the configuration's own ends with what it said.
        raise UserError(_last_line(str(error))) from error


def _unknown_field(error: Exception, argv: list[str]) -> str:
    """Which of the overrides has no field; ml_collections names the word alone."""
    said = str(error)
    word = re.match(r"\W*(\w+)", said)
    better = re.search(r'Did you mean "(\w+)"', said)
    for arg in argv[1:]:
        parts = arg.lstrip("-").split("=")[0].split(".")
        if parts[0] == "config" and word and word[1] in parts[1:]:
            name = ".".join(parts[: parts.index(word[1], 1) + 1])
            hint = f"did you mean {better[1]}?" if better else "see --help=config"
            return f"{name} is no field; {hint}"
    return f"--config={_file(argv)} cannot be used: {error}"


def _file(argv: list[str]) -> str:
    """What --config was set to."""
    rest = iter(argv[1:])
    for arg in rest:
        name, equals, value = arg.lstrip("-").partition("=")
        if name == "config":
            return value if equals else next(rest, "")
    return ""


def _missing_file(argv: list[str]) -> str:
    value = _file(argv)
    path = pathlib.Path(value.partition(":")[0])
    there: list[str] = []
    if os.path.isdir(path.parent):  # noqa: PTH112 - a path that is too long raises nothing here.
        there = [str(p) for p in sorted(path.parent.glob("*.py"))]
    return f"--config={value[:100]}: there is no file {str(path)[:100]}{_nearest(str(path), there)}"


def _last_line(text: str) -> str:
    """`flag --config.x=y: reason`, or the configuration's own words, without a traceback."""
    lines = [line for line in text.splitlines() if line.strip()]
    if len(lines) < 2:
        return text.removeprefix("flag ").strip()
    flag = lines[0].partition(": Error")[0].removeprefix("flag ")
    return f"{flag}: {lines[-1].partition(': ')[2]}"


def _nearest(name: str, known: Iterable[str]) -> str:
    """`; did you mean a? known: a, b, c`, as far as there is something to say."""
    known = list(known)
    if not known:
        return ""
    close = difflib.get_close_matches(name, known, n=2, cutoff=0.5)
    question = f"did you mean {' or '.join(close)}? " if close else ""
    return f"; {question}known: {', '.join(known)}"


def _expand_paths(config: ml_collections.ConfigDict) -> None:
    """Replaces `~` and `$NAME` in every field that names a file or a folder, as a shell would."""
    with config.unlocked():
        for field, value in config.items():
            if isinstance(value, ml_collections.ConfigDict):
                _expand_paths(value)
            elif field in _PATH_FIELDS and isinstance(value, str):
                config[field] = files.expanded(value)
                if "://" in value:
                    files.path_of(value)  # Says what is wrong with it.


def _workdir(argv: list[str]) -> str:
    try:
        return str(parse(argv).config.workdir)
    except UserError:
        return "config.workdir"


def _is_one_of_several(config: ml_collections.ConfigDict) -> bool:
    return bool(config.get("parallel", {}).get("coordinator", ""))


def _quiet() -> None:
    """Warnings and errors are shown, in one style; what libraries tell about themselves is not."""
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s: %(message)s", force=True)
    # Orbax and tfds log every step through it, and with a traceback what they raise besides.
    logging.getLogger("absl").setLevel(logging.CRITICAL)
    for handler in logging.getLogger().handlers:
        handler.addFilter(lambda record: not (record.exc_info and _is_echo(record.exc_info[1])))
    sys.unraisablehook = _tell_unraisable
    threading.excepthook = _tell_of_thread


def _tell_unraisable(unraisable: Any) -> None:
    """Shows an error that nobody can catch, as Python does, unless it is an echo."""
    if not _is_echo(unraisable.exc_value):
        sys.__unraisablehook__(unraisable)


def _tell_of_thread(ended: threading.ExceptHookArgs) -> None:
    """The same for one that ended a thread."""
    if not _is_echo(ended.exc_value):
        threading.__excepthook__(ended)


def _is_echo(error: BaseException | None) -> bool:
    """Whether an error repeats what the main thread is told where it writes, and tells in one line.

    On a full disk tensorboardX's file tries once more when it is thrown away, Orbax's savers raise
    in their threads too, and TensorStore's, which are still at the other files, miss the event loop
    that Orbax has ended.
    """
    return error is not None and (
        str(error) == "Event loop is closed" or bool(disk.reason_of(error))
    )


def main(argv: list[str]) -> int:
    """Runs the stages that `argv` asks for and returns the exit status."""
    _quiet()
    runtime.configure()
    if isinstance(sys.stdout, io.TextIOWrapper):
        # A file's name may be of bytes that are no text.
        sys.stdout.reconfigure(errors="backslashreplace")
    try:
        command = parse(argv)
        for stage in command.stages:
            # Several processes come together before any of them touches a device.
            if stage not in _WITHOUT_DEVICE and not _is_one_of_several(command.config):
                runtime.start_device()
            importlib.import_module(f"echodfkd_jax.jobs.{stage}").run(command.config)
        sys.stdout.flush()
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except BrokenPipeError:
        # Whoever read has seen enough, as `head` has. Nothing is left to be flushed at the end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except PreemptedError as stopped:
        print(stopped, file=sys.stderr)
        return 143
    except KeyboardInterrupt:
        print("interrupted; the same command continues from the last checkpoint", file=sys.stderr)
        return 130
    except Exception as error:
        # What a disk or a device says is told in one line wherever it was met; all else is a bug.
        line = disk.told(error, _workdir(argv)) or runtime.device_error(error)
        if not line:
            raise
        print(f"error: {line}", file=sys.stderr)
        return 2
    return 0


def run() -> None:
    """The console command `echodfkd`."""
    sys.exit(main(sys.argv))
