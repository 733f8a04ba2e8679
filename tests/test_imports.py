"""Who may import whom, and that importing has no effect."""

import ast
import graphlib
import pathlib
import subprocess
import sys

import pytest

ROOT = pathlib.Path(__file__).parent.parent
PACKAGE = ROOT / "echodfkd_jax"
# Everybody may import these.
BASE = {"buckets", "disk", "errors", "files", "masks", "seams", "settings", "types"}
# Every room and every room that it imports, no more and no less.
EDGES = {
    "cli": {"runtime"},
    "clips": set(),
    "datasets": {"clips", "synthesis", "teachers"},
    "echoclip": {"interop"},
    "evaluation": {
        "clips",
        "datasets",
        "echoclip",
        "interop",
        "measurement",
        "networks",
        "synthesis",
        "teachers",
    },
    "interop": {"networks"},
    "measurement": set(),
    "networks": set(),
    "page": set(),
    "prediction": {"clips", "interop", "measurement", "networks", "reporting", "runs"},
    "reporting": {"evaluation", "measurement"},
    "runs": {"networks", "synthesis"},
    "runtime": set(),
    "synthesis": set(),
    "teachers": {"clips", "interop", "networks", "runs"},
    "training": {"networks", "reporting", "runs", "synthesis"},
}


def room_of(path):
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


ROOMS = {room_of(path) for path in PACKAGE.rglob("*.py")} - {"__init__"}


def imported_rooms(path):
    for node in ast.walk(ast.parse(path.read_text())):
        names = []
        if isinstance(node, ast.ImportFrom) and node.module:
            names = [node.module] + [f"{node.module}.{alias.name}" for alias in node.names]
        elif isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        for name in names:
            parts = name.split(".")
            if parts[0] == "echodfkd_jax" and len(parts) > 1 and parts[1] in ROOMS:
                yield parts[1]


def edges_of(room):
    found = {
        other
        for path in PACKAGE.rglob("*.py")
        if room_of(path) == room
        for other in imported_rooms(path)
    }
    return found - {room} - BASE


@pytest.mark.parametrize("room", sorted(ROOMS - BASE - {"jobs"}))
def test_a_room_imports_what_is_listed_and_nothing_else(room):
    assert edges_of(room) == EDGES[room]


@pytest.mark.parametrize("room", sorted(BASE))
def test_what_everybody_imports_imports_nothing_but_its_like(room):
    assert edges_of(room) == set()


def test_jobs_wire_the_rooms_and_only_the_command_line_knows_them():
    assert edges_of("jobs") <= EDGES.keys() - {"cli", "runtime"}
    for path in PACKAGE.rglob("*.py"):
        if room_of(path) != "jobs":
            assert "jobs" not in set(imported_rooms(path)), path


def test_there_is_no_circle():
    order = tuple(graphlib.TopologicalSorter(EDGES).static_order())
    assert set(order) == EDGES.keys()


def test_importing_everything_loads_no_tensorflow_no_pytorch_and_touches_no_device():
    modules = [
        ".".join(path.relative_to(ROOT).with_suffix("").parts)
        for path in sorted(PACKAGE.rglob("*.py"))
    ]
    program = (
        "import importlib, sys\n"
        f"for name in {modules!r}: importlib.import_module(name)\n"
        "from jax._src import xla_bridge\n"
        "assert not xla_bridge.backends_are_initialized(), 'a device was touched'\n"
        "assert not {'tensorflow', 'torch'} & set(sys.modules), 'too much was loaded'\n"
    )
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
