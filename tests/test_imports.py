"""Who may import whom, and that importing has no effect."""

import ast
import pathlib
import subprocess
import sys

import pytest

ROOT = pathlib.Path(__file__).parent.parent
PACKAGE = ROOT / "echodfkd_jax"
BASE = {"types", "errors"}
# Rooms and the rooms they may import, besides `types`, `errors` and themselves.
ALLOWED = {
    "synthesis": set(),
    "clips": {"synthesis", "teachers"},
    "student": {"interop"},
    "evaluation": {"clips"},
    "reporting": {"evaluation"},
    "page": set(),
    "teachers": {"student", "interop", "clips", "distillation"},
    "echoclip": {"interop"},
    "interop": {"student", "teachers", "echoclip"},
    "distillation": {"student", "teachers", "synthesis", "clips", "interop", "reporting"},
}


def imported_rooms(path):
    for node in ast.walk(ast.parse(path.read_text())):
        names = []
        if isinstance(node, ast.ImportFrom) and node.module:
            names = [node.module] + [f"{node.module}.{alias.name}" for alias in node.names]
        elif isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        for name in names:
            parts = name.split(".")
            if parts[0] == "echodfkd_jax" and len(parts) > 1:
                yield parts[1]


@pytest.mark.parametrize("room", sorted(ALLOWED))
def test_rooms_import_only_what_they_may(room):
    for path in sorted((PACKAGE / room).rglob("*.py")):
        extra = set(imported_rooms(path)) - ALLOWED[room] - BASE - {room}
        assert not extra, f"{path.relative_to(ROOT)} imports {sorted(extra)}"


def test_no_room_imports_a_job():
    for path in PACKAGE.rglob("*.py"):
        if path.parent.name != "jobs":
            assert "jobs" not in set(imported_rooms(path)), path


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
