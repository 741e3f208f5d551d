"""The agent's code runs under the oldest distribution's Python: 3.9, syntax and library."""

from __future__ import annotations

import ast
import importlib.util
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

PACKAGE = Path(__file__).resolve().parents[3] / "kernelscope"
AGENT_HALF = [PACKAGE / "agent", PACKAGE / "protocol", PACKAGE / "errors.py"]
_TYPES = {"bool", "bytes", "bytearray", "dict", "float", "int", "list", "set", "str", "tuple"}

needs_vermin = pytest.mark.skipif(
    importlib.util.find_spec("vermin") is None, reason="vermin is not installed: script/setup dev"
)

NEWER = {
    "a function of itertools": "import itertools\nitertools.batched([1], 2)",
    "an imported function": "from itertools import pairwise",
    "a module": "import tomllib",
    "a method": "x = (3).bit_count()",
    "a keyword": "zip([1], [2], strict=True)",
    "a match statement": "match 1:\n    case 1:\n        pass",
    "except*": "try:\n    pass\nexcept* OSError:\n    pass",
}
NEWER_UNIONS = {
    "an alias": "Name = str | None",
    "isinstance": "isinstance(1, int | str)",
    "a base's argument": "class A(list[int | None]): pass",
}


def too_new(*paths: Path) -> list[str]:
    """Return what Python 3.9 lacks, as vermin finds it."""
    options = ["-t=3.9-", "--no-tips", "--violations", "-vvv"]
    command = [sys.executable, "-c", "from vermin import main; main()", *options]
    done = subprocess.run([*command, *map(str, paths)], capture_output=True, text=True)
    assert "Minimum required versions" in done.stdout, done.stderr
    return [line for line in done.stdout.splitlines() if line.startswith("  L")]


def runtime_unions(tree: ast.AST) -> Iterator[int]:
    """Yield the lines with `X | Y` of types that is evaluated, so not in an annotation."""
    for field, value in ast.iter_fields(tree):
        if field in ("annotation", "returns"):
            continue
        for node in value if isinstance(value, list) else [value]:
            is_union = isinstance(node, ast.BinOp) and isinstance(node.op, ast.BitOr)
            if is_union and any(map(_is_type, (node.left, node.right))):
                yield node.lineno
            if isinstance(node, ast.AST):
                yield from runtime_unions(node)


def _is_type(node: ast.expr) -> bool:
    if isinstance(node, ast.Constant):
        return node.value is None
    if isinstance(node, ast.Subscript):
        return _is_type(node.value)
    return isinstance(node, ast.Name) and node.id in _TYPES


@needs_vermin
def test_agent_uses_python_3_9_alone() -> None:
    assert too_new(*AGENT_HALF) == []


@needs_vermin
@pytest.mark.parametrize("source", NEWER.values(), ids=NEWER)
def test_newer_syntax_or_call_is_found(source: str, tmp_path: Path) -> None:
    planted = tmp_path / "planted.py"
    planted.write_text(source + "\n")
    assert too_new(planted)


def test_agent_evaluates_no_union_of_types() -> None:
    sources = [
        path for part in AGENT_HALF for path in ([part] if part.is_file() else part.rglob("*.py"))
    ]
    assert len(sources) > 60
    found = {path.name: list(runtime_unions(ast.parse(path.read_text()))) for path in sources}
    assert {name: lines for name, lines in found.items() if lines} == {}


@pytest.mark.parametrize("source", NEWER_UNIONS.values(), ids=NEWER_UNIONS)
def test_evaluated_union_of_types_is_found(source: str) -> None:
    assert list(runtime_unions(ast.parse(source)))


def test_union_in_an_annotation_is_allowed() -> None:
    source = "def f(a: int | None) -> str | None:\n    b: int | None = None\n"
    assert list(runtime_unions(ast.parse(source))) == []
