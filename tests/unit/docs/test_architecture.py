"""ARCHITECTURE.md names files and folders that exist, and every package."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
TEXT = (ROOT / "ARCHITECTURE.md").read_text(encoding="utf-8")
ROOTS = "bpf|kernelscope|script|tests|tools|workloads"
PATHS = sorted(set(re.findall(rf"`((?:{ROOTS})/[\w/.]*)`", TEXT)))


@pytest.mark.parametrize("path", PATHS)
def test_a_named_path_exists(path: str) -> None:
    assert (ROOT / path).exists()
    assert (ROOT / path).is_dir() == path.endswith("/")


def test_every_package_has_a_row() -> None:
    packages = {path.parent.name for path in (ROOT / "kernelscope").glob("*/__init__.py")}
    assert packages == set(re.findall(r"^\| `kernelscope/(\w+)/` \|", TEXT, re.MULTILINE))


def test_every_package_of_the_agent_is_named() -> None:
    packages = {path.parent.name for path in (ROOT / "kernelscope/agent").glob("*/__init__.py")}
    (row,) = re.findall(r"^\| `kernelscope/agent/` \|.*$", TEXT, re.MULTILINE)
    assert packages == set(re.findall(r"`(\w+)/`", row)) - {"kernelscope"}
