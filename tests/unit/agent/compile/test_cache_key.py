"""What bytecode depends on besides the program: the agent's own code, all of it."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from kernelscope.agent.compile import cache_key
from kernelscope.protocol.probe_folder import PACKAGE


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the agent's code, which the toolchain takes for its own."""
    for part in ("agent", "protocol"):
        ignored = shutil.ignore_patterns("__pycache__")
        shutil.copytree(PACKAGE / part, tmp_path / part, ignore=ignored)
    monkeypatch.setattr(cache_key, "PACKAGE", tmp_path)
    return tmp_path


def test_change_in_any_sub_package_changes_the_cache_key(package: Path) -> None:
    folders = {path.parent for path in package.rglob("*.*")}
    assert len(folders) >= 11  # agent, its eight packages and their data, protocol
    for folder in folders:
        file = next(path for path in folder.iterdir() if path.is_file())
        before = cache_key.own_code()
        file.write_bytes(file.read_bytes() + b"\n")
        assert cache_key.own_code() != before, file


def test_new_file_and_new_sub_package_change_the_cache_key(package: Path) -> None:
    keys = [cache_key.own_code()]
    (package / "agent" / "btf" / "new.py").write_text("")
    keys.append(cache_key.own_code())
    (package / "protocol" / "deeper" / "still").mkdir(parents=True)
    (package / "protocol" / "deeper" / "still" / "new.py").write_text("")
    keys.append(cache_key.own_code())
    assert len(set(keys)) == 3


def test_compiled_python_does_not_change_the_cache_key(package: Path) -> None:
    before = cache_key.own_code()
    (package / "agent" / "__pycache__").mkdir()
    (package / "agent" / "__pycache__" / "new.pyc").write_text("")
    assert cache_key.own_code() == before
