"""The package as somebody installs it: an empty environment, another folder than the checkout."""

import json
import os
import pathlib
import subprocess
import sys

import pytest

from echodfkd_jax.clips import video
from tests.clips import echonet_folder
from tests.test_docs import BLOCK

ROOT = pathlib.Path(__file__).parents[1]


@pytest.fixture(scope="module")
def programs(tmp_path_factory):
    """The `bin` of a new environment with the package alone; an index has to be reached."""
    folder = tmp_path_factory.mktemp("installed") / "venv"
    subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True)
    install = [str(folder / "bin" / "pip"), "install", "--quiet", "--retries", "0", str(ROOT)]
    done = subprocess.run(install, capture_output=True, text=True)
    if done.returncode and "No matching distribution" in done.stderr:
        pytest.skip("no package index can be reached")
    assert done.returncode == 0, done.stderr
    return folder / "bin"


def run(programs, folder, *command):
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    done = subprocess.run(
        [str(programs / command[0]), *command[1:]],
        cwd=folder,
        env=environment | {"JAX_PLATFORMS": "cpu"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.slow
def test_the_command_outlines_a_clip(programs, tmp_path):
    frames, _ = echonet_folder.beat(40)
    video.write_avi(tmp_path / "clip.avi", frames, 50.0)
    said = run(programs, tmp_path, "echodfkd", "predict", "clip.avi")
    assert "1 of 1 clips predicted" in said
    written = {path.name for path in (tmp_path / "predictions").iterdir()}
    made = {f"clip{suffix}" for suffix in (".seg.npz", ".json", ".mp4", ".png")}
    made |= {f"clip.{name}.seg.npz" for name in ("lv_myocardium", "la", "rv", "ra")}
    assert written == made | {"predictions.csv", "run_report.json"}


@pytest.mark.slow
def test_the_five_lines_of_the_readme_run(programs, tmp_path):
    blocks = BLOCK.findall((ROOT / "README.md").read_text())
    (lines,) = (text for language, text in blocks if language == "python")
    assert sum(map(bool, lines.splitlines())) == 5
    (tmp_path / "five.py").write_text(lines)
    assert run(programs, tmp_path, "python", "five.py").startswith("EF ")


@pytest.mark.slow
def test_the_metadata_are_complete(programs, tmp_path):
    program = (
        "import importlib.metadata, json\n"
        "found = importlib.metadata.metadata('echodfkd_jax')\n"
        "print(json.dumps({name: found.get_all(name) for name in found}))"
    )
    found = json.loads(run(programs, tmp_path, "python", "-c", program))
    assert {"Author", "Classifier", "Description", "Keywords", "Summary"} <= found.keys()
    assert found["License-Expression"] == ["Apache-2.0"] and len(found["License-File"]) == 3
    assert found["Description-Content-Type"] == ["text/markdown"]
    assert "Programming Language :: Python :: 3.13" in found["Classifier"]
    assert found["Project-URL"] == ["Paper, https://arxiv.org/abs/2409.07566"]
