"""The documentation's commands do what it says: all are run, unless they say what they need."""

import os
import pathlib
import re
import subprocess
import sys

import numpy as np
import pytest

from echodfkd_jax.clips import video
from tests import bare_environment
from tests.clips import echonet_folder

ROOT = pathlib.Path(__file__).parents[1]
PAGES = sorted([ROOT / "README.md", *ROOT.glob("docs/*.md")])
BLOCK = re.compile(r"^```(bash|python)\n(.*?)^```$", re.DOTALL | re.MULTILINE)
# The first line of a block that cannot be run here.
NEEDS = "# needs "


def blocks(page):
    """Language and text of the blocks of a page that can be run."""
    found = BLOCK.findall(page.read_text())
    return [(language, text) for language, text in found if not text.startswith(NEEDS)]


@pytest.fixture
def checkout(tmp_path):
    """What a reader has: the project, and a folder of clips."""
    for name in ("main.py", "configs", "data", "docs", "echodfkd_jax"):
        (tmp_path / name).symlink_to(ROOT / name)
    (tmp_path / "clips").mkdir()
    frames, _ = echonet_folder.beat(40)
    video.write_avi(tmp_path / "clips" / "a.avi", frames, 50.0)
    np.savez(tmp_path / "clips" / "b.npz", frames=frames, fps=50.0)
    return tmp_path


@pytest.fixture(scope="session")
def bare(tmp_path_factory):
    """Programs of an environment with what the documented installation brings."""
    return bare_environment.make(tmp_path_factory.mktemp("bare") / "venv")


def run(folder, *command, programs=pathlib.Path(sys.executable).parent):
    paths = [str(programs), os.environ["PATH"]]
    done = subprocess.run(
        command,
        cwd=folder,
        env=os.environ | {"PATH": os.pathsep.join(paths), "JAX_PLATFORMS": "cpu"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, f"{' '.join(command)}\n{done.stdout}\n{done.stderr}"
    return done


@pytest.mark.slow
@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_block_runs(page, checkout, bare):
    found = blocks(page)
    if not found:
        pytest.skip("the page has no block that can be run here")
    for language, text in found:
        if language == "bash":
            run(checkout, "bash", "-euo", "pipefail", "-c", text, programs=bare)
        else:
            (checkout / "block.py").write_text(text)
            run(checkout, str(bare / "python"), "block.py")


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["safetensors", "stablehlo"])
def test_formats_without_packages_of_their_own(kind, checkout, bare):
    command = ["main.py", "--stage=export", "--config=configs/synthetic.py"]
    command += [f"--config.export.format={kind}", f"--config.export.file=student.{kind}"]
    run(checkout, str(bare / "python"), *command, "--config.student.weights=small")
    assert (checkout / f"student.{kind}").is_file()


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page):
    for target in re.findall(r"\]\((?!https?:)([^)#]+)", page.read_text()):
        assert (page.parent / target).exists(), target


def test_a_block_that_needs_something_is_left_out(tmp_path):
    page = tmp_path / "page.md"
    page.write_text(
        "```bash\n# needs a GPU\nfalse\n```\n\n```python\nx = 1\n```\n\n```\ntext\n```\n"
    )
    assert blocks(page) == [("python", "x = 1\n")]


def test_the_site_lists_every_page():
    listed = re.findall(r": (\w+\.md)$", (ROOT / "mkdocs.yml").read_text(), re.MULTILINE)
    pages = {path.name for path in PAGES if path.parent.name == "docs"}
    assert pages <= set(listed) and len(listed) == len(set(listed))


@pytest.mark.slow
def test_the_site_is_built_without_a_warning_and_has_every_module(tmp_path):
    pytest.importorskip("mkdocs")
    # Its hooks refuse a site in which a module is missing.
    command = ["-m", "mkdocs", "build", "--strict", "--site-dir", str(tmp_path / "site")]
    run(ROOT, sys.executable, *command)
    assert (tmp_path / "site" / "search" / "search_index.json").is_file()
