from __future__ import annotations

import os
import platform
import shutil
import struct
import subprocess
import time
from pathlib import Path

import pytest

from kernelscope.agent.symbols import modules
from kernelscope.agent.symbols.modules import FunctionTable, Module, ModuleFiles

needs_gcc = pytest.mark.skipif(
    shutil.which("gcc") is None or shutil.which("objcopy") is None, reason="gcc is not installed"
)


def test_an_address_after_a_functions_end_has_no_name() -> None:
    table = FunctionTable([(100, 10, "short"), (200, 0, "sizeless"), (300, 10, "last")])
    assert table.find(99) is None
    assert table.find(109) == ("short", 9)
    assert table.find(110) is None
    assert table.find(299) == ("sizeless", 99)
    assert table.find(310) is None


def test_prefers_the_plainest_of_several_names() -> None:
    table = FunctionTable([(8, 4, "__libc_read"), (8, 4, "read"), (8, 4, "__read")])
    assert table.find(9) == ("read", 1)


def test_a_file_that_is_not_elf_has_no_names(tmp_path: Path) -> None:
    path = tmp_path / "data"
    path.write_bytes(b"\x7fELF" + bytes(range(256)) * 4)
    with path.open("rb") as file:
        assert Module(file.fileno()).resolve(64) == ("", 64)


def _run(command: str, folder: Path) -> None:
    subprocess.run(command, shell=True, check=True, cwd=folder)


def _program(folder: Path, *flags: str) -> Path:
    source = folder / "prog.c"
    source.write_text(
        "__attribute__((noinline)) int burn_here(int n) { return n * 3; }\n"
        "int main(int c, char **v) { return burn_here(c); }\n"
    )
    path = folder / "prog"
    subprocess.run(["gcc", "-O1", *flags, "-o", path, source], check=True)
    return path


def _offset(path: Path, name: str) -> int:
    """The offset in the file of a function, from nm: programs here are loaded as they are."""
    lines = subprocess.run(["nm", path], capture_output=True, text=True, check=True).stdout
    address = next(int(line.split()[0], 16) for line in lines.splitlines() if line.endswith(name))
    elf = modules._Elf(str(path), any_class=True)
    with elf:
        return elf.file_offset(address)


def _name_at(path: Path, offset: int) -> str:
    return Module(os.open(path, os.O_RDONLY), str(path)).resolve(offset)[0]


@needs_gcc
def test_reads_symbols_that_a_debug_link_names(tmp_path: Path) -> None:
    path = _program(tmp_path)
    offset = _offset(path, "burn_here")
    _run("objcopy --only-keep-debug prog prog.debug && strip prog", tmp_path)
    assert _name_at(path, offset) == ""
    _run("objcopy --add-gnu-debuglink=prog.debug prog", tmp_path)
    assert _name_at(path, offset) == "burn_here"


@needs_gcc
def test_does_not_use_a_debug_file_with_another_checksum(tmp_path: Path) -> None:
    path = _program(tmp_path)
    offset = _offset(path, "burn_here")
    _run("objcopy --only-keep-debug prog prog.debug && strip prog", tmp_path)
    _run("objcopy --add-gnu-debuglink=prog.debug prog && echo >> prog.debug", tmp_path)
    assert _name_at(path, offset) == ""


@needs_gcc
@pytest.mark.skipif(shutil.which("xz") is None, reason="xz is not installed")
def test_reads_compressed_symbols_in_the_file(tmp_path: Path) -> None:
    path = _program(tmp_path)
    offset = _offset(path, "burn_here")
    _run("objcopy --only-keep-debug prog mini && xz mini && strip prog", tmp_path)
    _run("objcopy --add-section .gnu_debugdata=mini.xz prog", tmp_path)
    assert _name_at(path, offset) == "burn_here"


@needs_gcc
def test_reads_symbols_of_32_bit_programs(tmp_path: Path) -> None:
    source = tmp_path / "prog.s"
    source.write_text(
        ".text\n.globl burn_here\n.type burn_here, @function\nburn_here:\n"
        "nop\nret\n.size burn_here, .-burn_here\n.globl _start\n_start: nop\n"
    )
    made = subprocess.run(
        ["gcc", "-m32", "-nostdlib", "-static", "-o", tmp_path / "prog", source],
        capture_output=True,
    )
    if made.returncode:
        pytest.skip("gcc makes no 32-bit programs here")
    path = tmp_path / "prog"
    assert _name_at(path, _offset(path, "burn_here")) == "burn_here"


def test_closes_the_least_recently_used_file_and_counts_it(tmp_path: Path) -> None:
    files = ModuleFiles(most=2)
    paths = [tmp_path / name for name in ("a", "b", "c")]
    for number, path in enumerate(paths):
        path.write_bytes(b"x" * 64)
        files.keep(("0:1", path.stat().st_ino), os.getpid(), 0, 0, str(path))
        if number == 1:
            files.find(("0:1", paths[0].stat().st_ino))
    assert files.dropped == 1
    assert files.find(("0:1", paths[0].stat().st_ino)) is not None
    assert files.find(("0:1", paths[1].stat().st_ino)) is None


def test_many_headers_of_one_large_table_cost_nothing(tmp_path: Path) -> None:
    size, path = 500 << 20, tmp_path / "sparse"
    head = bytearray(64)
    head[:7] = b"\x7fELF\x02\x01\x01"
    machine = {"x86_64": 62, "aarch64": 183}[platform.machine()]
    struct.pack_into("<HHI", head, 16, 2, machine, 1)
    struct.pack_into("<Q", head, 40, 64)
    struct.pack_into("<5H", head, 54, 56, 0, 64, 42, 0)
    tables = struct.pack("<IIQQQQIIQQ", 0, 2, 0, 0, 4096, size, 41, 0, 8, 24) * 40
    strings = struct.pack("<IIQQQQIIQQ", 0, 3, 0, 0, 4096, size, 0, 0, 1, 0)
    with path.open("wb") as file:
        file.write(head + bytes(64) + tables + strings)
        file.truncate(4096 + size)
    module = Module(os.open(path, os.O_RDONLY), str(path))
    began = time.monotonic()
    assert module.resolve(4096)[0] == ""
    assert module.is_cut
    assert time.monotonic() - began < 2


@needs_gcc
def test_a_file_whose_symbols_take_too_long_is_reported(tmp_path: Path) -> None:
    path = _program(tmp_path)
    budget = modules.Budget(-1.0)
    module = Module(os.open(path, os.O_RDONLY), str(path), "", budget)
    began = time.monotonic()
    assert module.resolve(0)[0] == ""
    assert module.is_cut
    assert time.monotonic() - began < 1
