"""Reads files named on stdin, one "reader<TAB>path" a line, and answers one JSON line each.

A process of its own with 1 GiB beyond what its imports take, so that a crash is a finding.
"""

import json
import pathlib
import re
import resource
import signal
import sys
import time
import traceback

import jax

from echodfkd_jax import cli
from echodfkd_jax.clips import camus_info, inputs, nifti, tables
from echodfkd_jax.clips import mask_files as masks
from echodfkd_jax.datasets import prepared as dataset
from echodfkd_jax.echoclip import open_clip_weights as open_clip
from echodfkd_jax.errors import UserError
from echodfkd_jax.evaluation import files
from echodfkd_jax.interop import torch_checkpoint, torch_student
from echodfkd_jax.networks import safetensors, shipped
from echodfkd_jax.runs import run_config, writers
from echodfkd_jax.teachers import onnx_teacher, precomputed
from tests.fuzz import samples

ROOT = pathlib.Path(__file__).resolve().parents[2]


def _command(path):
    argv = path.read_bytes().decode("utf-8", "replace").split("\n")
    cli.parse(["main.py", f"--config={ROOT}/configs/synthetic.py:smoke", *argv])


def _clip(path):
    inputs.fit(inputs.read_clip(path), "full")


def _teacher(path):
    teacher = precomputed.load(str(path.parent))
    return teacher.fingerprint, masks.read_masks(path)


def _student(path):
    """As the job `import_student` does it."""
    state = torch_checkpoint.read_state_dict(path)
    try:
        torch_student.from_torch(state, **torch_student.size_of(state))
    except UserError as error:
        raise UserError(f"{path}: {error}") from error


def _judge(path):
    state = torch_checkpoint.read_state_dict(path)
    architecture = open_clip.architecture_from_open_clip(state, source=str(path))
    open_clip.params_from_open_clip(state, architecture, source=str(path))


# Of computing, for one file: a busy machine makes nothing hang.
SECONDS = 20
READERS = {
    "avi": _clip,
    "mp4": _clip,
    "mov": _clip,
    "mkv": _clip,
    "wmv": _clip,
    "mpg": _clip,
    "gif": _clip,
    "npz": _clip,
    "dcm": _clip,
    "png": lambda path: _clip(path.parent),
    "nii": lambda path: nifti.frames(nifti.read_nifti(path)),
    "nii.gz": lambda path: nifti.labels(nifti.read_nifti(path), 255),
    "cfg": camus_info.read_info,
    "npy": masks.read_masks,
    "seg.npz": masks.read_masks,
    "teacher.seg.npz": _teacher,
    "filelist.csv": tables.read_file_list,
    "tracings.csv": tables.read_volume_tracings,
    "safetensors": safetensors.load_variables,
    "student.safetensors": _student,
    "judge.safetensors": _judge,
    "network.safetensors": shipped.load_student,
    "ckpt": torch_checkpoint.read_state_dict,
    "onnx": lambda path: onnx_teacher.load(str(path)),
    "metrics.json": lambda path: files.read_metrics(path.parent),
    "config.json": lambda path: run_config.load(path.parent),
    "metadata.json": lambda path: dataset.read_metadata(path.parent),
    "metrics.jsonl": writers.read_lines,
    "shown.npz": lambda path: files.read_shown(path.parents[1]),
    "overrides": _command,
}


def _answer(kind, path):
    start = time.process_time()
    signal.setitimer(signal.ITIMER_PROF, SECONDS)  # Ends the process.
    try:
        READERS[kind](path)
        outcome, text = "result", ""
    except UserError as error:
        outcome, text = _judged(kind, path, error), str(error)
    except SystemExit as stop:  # --help
        outcome, text = ("result" if stop.code == 0 else "exit"), ""
    except BaseException:
        outcome, text = "traceback", traceback.format_exc()
    signal.setitimer(signal.ITIMER_PROF, 0)
    return outcome, text, time.process_time() - start


def _judged(kind, path, error):
    """Whether a refusal is one line, names the file and the row, and took no memory first."""
    text = str(error)
    if not text or len(text.splitlines()) != 1:
        return "not one line"
    if kind != "overrides" and path.name not in text and str(path.parent) not in text:
        return "unnamed"
    if kind.endswith(".csv") and "line " not in text and "lists no clip" not in text:
        return "no row"
    cause = error
    while cause is not None:
        if isinstance(cause, MemoryError) or re.search("(?i)allocat|memory", str(cause)):
            return "memory"
        cause = cause.__cause__ or cause.__context__
    return "refusal"


def main():
    """Answers until stdin ends."""
    replies = sys.stdout
    sys.stdout = sys.stderr
    folder = pathlib.Path(sys.argv[1])
    # What readers import, and what JAX sets up, when they are first called.
    kinds = ("avi", "mp4", "mov_uneven", "mkv", "wmv", "mpg", "gif", "png", "dicom", "dicom_rle")
    for name in (*kinds, "dicom_deep", "dicom_palette", "nifti", "state_dict", "onnx", "pytorch"):
        if name in samples.SAMPLES:
            sample = samples.get(name)
            path = folder / f"sound.{sample.reader}"
            path.write_bytes(sample.pack(sample.content))
            _answer(sample.reader, path)
    shipped.load_student()
    jax.random.key(0)
    used = int(pathlib.Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + 2**30, used + 2**30))
    print(json.dumps(["ready", "", 0]), file=replies, flush=True)
    for line in sys.stdin:
        kind, path = line.rstrip("\n").split("\t")
        print(json.dumps(_answer(kind, pathlib.Path(path))), file=replies, flush=True)


main()
