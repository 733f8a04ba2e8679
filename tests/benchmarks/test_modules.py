"""Every benchmark and experiment can be imported, and those that are run say how."""

import importlib.util
import json
import pathlib
import subprocess
import sys

import pytest

ROOT = pathlib.Path(__file__).parents[2]
FILES = [file for folder in ("benchmarks", "experiments") for file in (ROOT / folder).glob("*.py")]
MODULES = [f"{file.parent.name}.{file.stem}" for file in FILES]
# Asked how they are run, they answer; what others import or start has no arguments.
COMMANDS = [module for file, module in zip(FILES, MODULES) if "ArgumentParser" in file.read_text()]
NEEDS_TORCH = {"benchmarks.gpu_torch", "benchmarks.torch_baseline"}
# In one process of its own: some set the number of devices or cores when they are imported.
SCRIPT = """
import contextlib, importlib, io, json, runpy, sys, traceback

failures = {}
for module in json.loads(sys.argv[1]):
    try:
        importlib.import_module(module)
    except BaseException:
        failures[module] = traceback.format_exc()
for module in json.loads(sys.argv[2]):
    sys.argv, said = [module, "--help"], io.StringIO()
    try:
        with contextlib.redirect_stdout(said):
            runpy.run_module(module, run_name="__main__")
    except SystemExit as end:
        if end.code or "usage:" not in said.getvalue():
            failures[f"{module} --help"] = said.getvalue()
    except BaseException:
        failures[f"{module} --help"] = traceback.format_exc()
print(json.dumps(failures))
"""


@pytest.fixture(scope="module")
def failures():
    has_torch = importlib.util.find_spec("torch") is not None
    imported = [name for name in MODULES if has_torch or name not in NEEDS_TORCH]
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, json.dumps(imported), json.dumps(COMMANDS)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


@pytest.mark.parametrize("module", MODULES)
def test_can_be_imported(failures, module):
    if module in NEEDS_TORCH:
        pytest.importorskip("torch")
    assert module not in failures, failures[module]


@pytest.mark.parametrize("module", COMMANDS)
def test_says_how_it_is_run(failures, module):
    assert f"{module} --help" not in failures, failures[f"{module} --help"]
