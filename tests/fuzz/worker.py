"""Reads files named on stdin, one "reader<TAB>path" a line, and answers one JSON line each.

A process of its own with 1 GiB beyond what its imports take, so that a crash is a finding.
"""

import json
import pathlib
import resource
import sys
import traceback

from echodfkd_jax import command_line
from echodfkd_jax.clips import inputs, masks, tables
from echodfkd_jax.distillation import run_config
from echodfkd_jax.errors import UserError
from echodfkd_jax.evaluation import files
from echodfkd_jax.interop import safetensors, torch_checkpoint

ROOT = pathlib.Path(__file__).resolve().parents[2]


def _command(path):
    argv = path.read_bytes().decode("utf-8", "replace").split("\n")
    command_line.parse(["main.py", f"--config={ROOT}/configs/synthetic.py:smoke", *argv])


READERS = {
    "avi": inputs.read_clip,
    "mp4": inputs.read_clip,
    "gif": inputs.read_clip,
    "npz": inputs.read_clip,
    "dcm": inputs.read_clip,
    "png": lambda path: inputs.read_clip(path.parent),
    "npy": masks.read_masks,
    "seg.npz": masks.read_masks,
    "filelist.csv": tables.read_file_list,
    "tracings.csv": tables.read_volume_tracings,
    "safetensors": safetensors.load_variables,
    "ckpt": torch_checkpoint.read_state_dict,
    "metrics.json": lambda path: files.read_metrics(path.parent),
    "config.json": lambda path: run_config.load(path.parent),
    "overrides": _command,
}


def _answer(kind, path):
    try:
        READERS[kind](path)
        return "result", ""
    except UserError as error:
        text = str(error)
        named = kind == "overrides" or path.name in text or str(path.parent) in text
        return ("refusal" if named and len(text.splitlines()) == 1 else "finding"), text
    except SystemExit:
        return "result", ""
    except BaseException:
        return "finding", traceback.format_exc()


def main():
    """Answers until stdin ends."""
    replies = sys.stdout
    sys.stdout = sys.stderr
    for kind, content in (("avi", b""), ("dcm", b""), ("safetensors", b""), ("ckpt", b"")):
        path = pathlib.Path(sys.argv[1]) / f"warm.{kind}"
        path.write_bytes(content)
        _answer(kind, path)  # Imports what is imported late.
    used = int(pathlib.Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + 2**30, used + 2**30))
    print(json.dumps(["ready", ""]), file=replies, flush=True)
    for line in sys.stdin:
        kind, path = line.rstrip("\n").split("\t")
        print(json.dumps(_answer(kind, pathlib.Path(path))), file=replies, flush=True)


main()
