"""An environment that has what requirements.txt asks for, and nothing else that is installed."""

import importlib.metadata
import pathlib
import subprocess
import sys
import tomllib

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = pathlib.Path(__file__).parents[1]


def needed():
    """Names of the distributions that the package, and so requirements.txt, asks for."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    waiting = [(Requirement(text), "") for text in project["dependencies"]]
    found, seen = set(), set()
    while waiting:
        requirement, extra = waiting.pop()
        name = canonicalize_name(requirement.name)
        if requirement.marker and not requirement.marker.evaluate({"extra": extra}):
            continue
        for wanted in ("", *requirement.extras):
            if (name, wanted) not in seen:
                seen.add((name, wanted))
                found.add(name)
                inside = importlib.metadata.distribution(name).requires or []
                waiting += [(Requirement(text), wanted) for text in inside]
    return found


def make(folder):
    """Makes the environment out of links to what is installed here; returns its `bin`."""
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(folder)], check=True)
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    packages = folder / "lib" / version / "site-packages"
    for name in needed():
        distribution = importlib.metadata.distribution(name)
        for top in {file.parts[0] for file in distribution.files or ()}:
            link = packages / top
            if top not in ("..", "__pycache__") and not link.exists():
                link.symlink_to(distribution.locate_file(top))
    return folder / "bin"
