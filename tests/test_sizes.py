"""Files and functions that fit into a reader's head."""

import ast
import pathlib

import pytest

ROOT = pathlib.Path(__file__).parent.parent
FILES = [
    path
    for folder in ("echodfkd_jax", "experiments", "tests")
    for path in (ROOT / folder).rglob("*.py")
]
MAX_LINES, MAX_FUNCTION_LINES = 350, 80


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_files_and_functions_are_short(path):
    text = path.read_text()
    assert len(text.splitlines()) <= MAX_LINES
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            assert node.end_lineno - node.lineno < MAX_FUNCTION_LINES, node.name
