"""The command line: `--config`, its overrides, and `--stage`; mistakes are answered in one line.

The syntax is that of ml_collections' `config_flags` (`--config=FILE.py:MODE --config.a.b=VALUE`).
Its parser is not used: a misspelt field ends there in a traceback that does not name the field.
"""

import ast
import dataclasses
import difflib
import importlib
import importlib.util
import io
import logging
import os
import pathlib
import sys
from collections.abc import Iterable
from typing import Any

import ml_collections
from absl import flags

from echodfkd_jax import disk, runtime
from echodfkd_jax.errors import PreemptedError, UserError

# In the order in which "all" runs them; each is a module of `echodfkd_jax/jobs/`.
ALL_STAGES = ("prepare", "train", "evaluate", "report")
STAGES = (*ALL_STAGES, "predict", "serve", "export", "sweep", "import_student", "all")

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

  --config   the experiment, e.g. configs/synthetic.py or configs/synthetic.py:smoke;
             the file's docstring tells what it does and how long it takes
  --stage    {", ".join(STAGES)} (default: all, which skips what is done)
  --config.SECTION.FIELD=VALUE
             sets one field, e.g. --config.train.batch_size=4 --config.workdir=runs/mine
  --help     this text
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
    flags.FLAGS.mark_as_parsed()  # Grain's worker processes refuse to start otherwise.
    path, stage, overrides = "", "all", []
    for name, value in _pairs(argv[1:]):
        if name == "config":
            path = value
        elif name == "stage":
            stage = value
        elif name.startswith("config."):
            overrides.append((name, value))
        else:
            raise UserError(f"flag --{name} is unknown{_nearest(name, ('config', 'stage'))}")
    if stage not in STAGES:
        raise UserError(f"--stage={stage} is unknown{_nearest(stage, STAGES)}")
    config = load_config(path)
    for name, value in overrides:
        _override(config, name, value)
    _expand_paths(config)
    return Command(config, ALL_STAGES if stage == "all" else (stage,))


def load_config(value: str) -> ml_collections.ConfigDict:
    """Returns what `get_config` of a configuration file gives, locked.

    Args:
        value: `FILE.py` or `FILE.py:MODE`.

    Raises:
        UserError: the file does not exist, is no configuration, or does not know the mode.
    """
    if not value:
        raise UserError("--config is missing; write for example --config=configs/synthetic.py")
    name, _, mode = value.partition(":")
    path = pathlib.Path(_expanded(name))
    try:
        exists = path.is_file()
    except OSError as error:
        raise UserError(f"--config={value[:100]}: {error.strerror}") from error
    if not exists:
        there = [str(p) for p in sorted(path.parent.glob("*.py"))]
        raise UserError(f"--config={value}: there is no file {path}{_nearest(name, there)}")
    spec = importlib.util.spec_from_file_location("echodfkd_config", path)
    if spec is None or spec.loader is None:
        raise UserError(f"--config={value}: {path} is no Python file; its name has to end in .py")
    module = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
        config = module.get_config(mode) if mode else module.get_config()
    except ValueError as error:
        raise UserError(f"--config={value}: {error}") from error
    except (SyntaxError, AttributeError, ImportError) as error:
        raise UserError(f"--config={value}: {path} cannot be used: {error}") from error
    return config.lock()


def _pairs(args: list[str]) -> Iterable[tuple[str, str]]:
    """`--name=value` and `--name value`, one after the other."""
    rest = list(args)
    while rest:
        arg = rest.pop(0)
        if not arg.startswith("-") or arg.strip("-") == "":
            raise UserError(f"argument {arg!r} is not a flag; write --name=value, see --help")
        name, equals, value = arg.lstrip("-").partition("=")
        if not equals and rest and not rest[0].startswith("--"):
            value = rest.pop(0)
        elif not equals and (name in ("config", "stage") or name.startswith("config.")):
            raise UserError(f"--{name} has no value; write --{name}=VALUE")
        yield name, value


def _override(config: ml_collections.ConfigDict, name: str, value: str) -> None:
    """Sets the field that `name` ("config.a.b") names."""
    *sections, field = name.split(".")[1:]
    section: Any = config
    prefix = "config"
    for part in (*sections, field):
        known = list(section) if isinstance(section, ml_collections.ConfigDict) else []
        if part not in known:
            raise UserError(f"{prefix}.{part} is no field{_nearest(part, known)}")
        parent, section, prefix = section, section[part], f"{prefix}.{part}"
    if isinstance(section, ml_collections.ConfigDict):
        known = list(section)
        raise UserError(f"{name} is a section; set one of its fields{_nearest('', known)}")
    parent[field] = _convert(name, value, section)


def _expand_paths(config: ml_collections.ConfigDict) -> None:
    """Replaces `~` and `$NAME` in every field that names a file or a folder, as a shell would."""
    with config.unlocked():
        for field, value in config.items():
            if isinstance(value, ml_collections.ConfigDict):
                _expand_paths(value)
            elif field in _PATH_FIELDS and isinstance(value, str):
                config[field] = _expanded(value)


def _expanded(path: str) -> str:
    return os.path.expanduser(os.path.expandvars(path))  # noqa: PTH111, "" stays ""


def _convert(name: str, value: str, default: Any) -> Any:
    """`value` in the type of the field's default."""
    try:
        if isinstance(default, bool):
            return {"true": True, "1": True, "false": False, "0": False}[value.lower()]
        if isinstance(default, int | float):
            return type(default)(value)
        if isinstance(default, tuple | list):
            items = ast.literal_eval(value)
            return type(default)(items if isinstance(items, tuple | list) else (items,))
    except (ValueError, KeyError, SyntaxError, TypeError, RecursionError, MemoryError) as error:
        kinds = {bool: "True or False", int: "a whole number", float: "a number"}
        kind = kinds.get(type(default), "values with commas between them")
        raise UserError(f"{name}={value!r}: expected {kind}, such as {default}") from error
    return value


def _nearest(name: str, known: Iterable[str]) -> str:
    """`; did you mean a? known: a, b, c`, as far as there is something to say."""
    known = list(known)
    if not known:
        return ""
    close = difflib.get_close_matches(name, known, n=2, cutoff=0.5)
    question = f"did you mean {' or '.join(close)}? " if close else ""
    return f"; {question}known: {', '.join(known)}"


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
