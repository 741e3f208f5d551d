"""Every text file in the repository obeys .editorconfig."""

from __future__ import annotations

import configparser
import shutil
import subprocess
from fnmatch import fnmatch
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]


def tracked() -> list[str]:
    if shutil.which("git") is None:
        pytest.skip("git is not installed")
    listed = subprocess.run(
        ["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    if listed.returncode:
        pytest.skip("this is no git checkout")
    return [name for name in listed.stdout.split("\0") if name and (ROOT / name).is_file()]


def rules(name: str) -> dict[str, str]:
    """Return the properties of .editorconfig that apply to a file; later sections win."""
    parser = configparser.ConfigParser()
    parser.read_string("[-]\n" + (ROOT / ".editorconfig").read_text(encoding="utf-8"))
    found: dict[str, str] = {}
    for section in parser.sections():
        base, brace, choices = section.partition("{")
        patterns = [base + one for one in choices.rstrip("}").split(",")] if brace else [section]
        if any(fnmatch(name, one) or fnmatch(Path(name).name, one) for one in patterns):
            found.update(parser[section])
    return found


def faults(name: str) -> list[str]:
    data = (ROOT / name).read_bytes()
    if not data or b"\0" in data:
        return []
    wanted = rules(name)
    found = []
    if wanted.get("charset") == "utf-8":
        data.decode("utf-8")
    if wanted.get("end_of_line") == "lf" and b"\r\n" in data:
        found.append(f"{name}: CRLF line endings")
    if wanted.get("insert_final_newline") == "true" and not data.endswith(b"\n"):
        found.append(f"{name}: no newline at the end")
    # ruff checks Python, and lets a comment for a tool pass.
    longest = "off" if name.endswith(".py") else wanted.get("max_line_length", "off")
    for number, line in enumerate(data.decode("utf-8").split("\n"), 1):
        if wanted.get("trim_trailing_whitespace") == "true" and line != line.rstrip():
            found.append(f"{name}:{number}: trailing white space")
        if longest != "off" and len(line) > int(longest):
            found.append(f"{name}:{number}: {len(line)} characters")
    return found


def test_every_file_obeys_editorconfig() -> None:
    assert [fault for name in tracked() for fault in faults(name)] == []


def test_a_section_for_several_endings_applies_to_each_of_them() -> None:
    assert rules("notebooks/live.ipynb")["indent_size"] == "2"
    assert rules("kernelscope/errors.py")["indent_size"] == "4"
