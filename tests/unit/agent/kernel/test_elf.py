"""Symbols and USDT notes of ELF files made by hand, and malformed ones, which anybody may offer."""

from __future__ import annotations

import os
import platform
import struct
import subprocess
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from kernelscope.agent.attach import user_probe, user_targets
from kernelscope.agent.attach.open_files import OpenFiles
from kernelscope.agent.kernel.elf import ElfFile, Symbol, UsdtNote
from kernelscope.errors import AttachError, TargetError
from kernelscope.protocol import hook_spec

MACHINE = {"x86_64": 62, "aarch64": 183}[platform.machine()]
FUNC, IFUNC, OBJECT = 2, 10, 1
TEXT_AT, TEXT_OFFSET = 0x401000, 0x1000  # where the code is loaded, and where in the file it is
BASE = 0x402000
STRINGS = b"\0xmain\0memcpy\0old@@V2\0value\0"
NAMES = [b"", b".symtab", b".strtab", b".note.stapsdt", b".stapsdt.base", b".shstrtab"]
SECTION_NAMES = b"\0".join(NAMES) + b"\0"


def symbol(name: bytes, kind: int, address: int, size: int = 16, section: int = 1) -> bytes:
    return struct.pack("<IBBHQQ", STRINGS.index(name), kind, 0, section, address, size)


SYMBOLS = b"".join(
    [
        bytes(24),
        symbol(b"xmain", FUNC, TEXT_AT + 64),
        symbol(b"main", FUNC, TEXT_AT + 32),  # the linker lets "xmain" end in it
        symbol(b"memcpy", IFUNC, TEXT_AT + 96),
        symbol(b"old@@", FUNC, TEXT_AT + 128),
        symbol(b"value", OBJECT, TEXT_AT + 160),
    ]
)


def note(provider: bytes, name: bytes, place: int, semaphore: int = 0, base: int = BASE) -> bytes:
    words = struct.pack("<QQQ", place, base, semaphore)
    description = words + provider + b"\0" + name + b"\0-4@%eax\0"
    head = struct.pack("<III", 8, len(description), 3) + b"stapsdt\0"
    return head + description.ljust(len(description) + 3 & ~3, b"\0")


def section(name: bytes, kind: int, offset: int, size: int, link: int = 0, at: int = 0) -> bytes:
    named = SECTION_NAMES.index(name + b"\0")
    return struct.pack("<IIQQQQIIQQ", named, kind, 0, at, offset, size, link, 0, 1, 0)


def elf_file(notes: bytes = b"") -> bytes:
    parts = [SYMBOLS, STRINGS, notes, SECTION_NAMES]
    offsets = [TEXT_OFFSET + 0x100]
    for part in parts:
        offsets.append(offsets[-1] + len(part))
    kinds = [(b".symtab", 2, 2), (b".strtab", 3, 0), (b".note.stapsdt", 7, 0), (b".shstrtab", 3, 0)]
    headers = bytes(64) + b"".join(
        section(name, kind, offset, len(part), link)
        for (name, kind, link), offset, part in zip(kinds, offsets, parts, strict=False)
    )
    headers += section(b".stapsdt.base", 1, 0, 1, at=BASE)
    head = b"\x7fELF\2\1\1".ljust(16, b"\0") + struct.pack(
        "<HHIQQQIHHHHHH", 3, MACHINE, 1, TEXT_AT, 64, offsets[-1], 0, 64, 56, 1, 64, 6, 4
    )
    load = struct.pack("<IIQQQQQQ", 1, 5, TEXT_OFFSET, TEXT_AT, TEXT_AT, 0x1000, 0x1000, 0x1000)
    code = (head + load).ljust(offsets[0], b"\0")
    return (code + b"".join(parts) + headers).ljust(TEXT_OFFSET + 0x1000, b"\0")


@pytest.fixture
def program(tmp_path: Path) -> str:
    notes = note(b"shop", b"sold", TEXT_AT + 40, TEXT_AT + 0x200)
    notes += note(b"shop", b"sold", TEXT_AT + 80, TEXT_AT + 0x200)
    notes += note(b"bank", b"paid", TEXT_AT + 48) + note(b"shop", b"paid", TEXT_AT + 56)
    path = tmp_path / "program"
    path.write_bytes(elf_file(notes))
    return str(path)


def places(spec: str) -> list[user_probe.Place]:
    return user_probe.places(hook_spec.parse(spec), OpenFiles())


def test_symbol_that_ends_another_is_found(program: str) -> None:
    with ElfFile(program) as elf:
        assert elf.symbol("main") == Symbol("main", TEXT_AT + 32, 16)
        assert elf.symbol("xmain") == Symbol("xmain", TEXT_AT + 64, 16)
        assert elf.symbol("mai") is None
        assert elf.symbol("nothing") is None


def test_version_is_not_part_of_a_name(program: str) -> None:
    with ElfFile(program) as elf:
        assert elf.symbol("old") == Symbol("old", TEXT_AT + 128, 16)
        assert elf.function_names() == ["main", "memcpy", "old", "xmain"]


def test_variable_is_not_a_function(program: str) -> None:
    with ElfFile(program) as elf:
        assert elf.symbol("value") is None


def test_place_is_a_file_offset(program: str) -> None:
    found = places(f"uprobe:{program}:main+4")
    assert [(place.file.path, place.offset) for place in found] == [(program, TEXT_OFFSET + 36)]
    assert places(f"uprobe:{program}:{TEXT_AT + 8:#x}")[0].offset == TEXT_OFFSET + 8


def test_usdt_probe_has_all_its_places(program: str) -> None:
    found = places(f"usdt:{program}:sold")
    assert [(place.file.path, place.offset, place.semaphore) for place in found] == [
        (program, TEXT_OFFSET + 40, TEXT_OFFSET + 0x200),
        (program, TEXT_OFFSET + 80, TEXT_OFFSET + 0x200),
    ]


def test_prelinked_notes_are_moved_to_the_code(tmp_path: Path) -> None:
    path = tmp_path / "prelinked"
    path.write_bytes(elf_file(note(b"shop", b"sold", TEXT_AT - 0x1000 + 8, base=0x401000)))
    with ElfFile(str(path)) as elf:
        assert elf.usdt_notes() == [UsdtNote("shop", "sold", TEXT_OFFSET + 8, 0, "-4@%eax")]


def test_ambiguous_usdt_name_needs_its_provider(program: str) -> None:
    with pytest.raises(AttachError, match="bank, shop"):
        places(f"usdt:{program}:paid")
    assert places(f"usdt:{program}:bank:paid")[0].offset == TEXT_OFFSET + 48


@pytest.mark.parametrize(
    ("spec", "says"),
    [
        ("uprobe:{}:mian", "Did you mean main"),
        ("usdt:{}:solt", "Did you mean shop:sold"),
        ("uprobe:{}:main+16", "beyond the end of main"),
        ("uprobe:{}:memcpy", "chosen at run time"),
    ],
)
def test_missing_symbol_is_reported(program: str, spec: str, says: str) -> None:
    with pytest.raises(AttachError, match=says):
        places(spec.format(program))


def test_address_outside_the_program_is_refused(program: str) -> None:
    with pytest.raises(TargetError, match="no part of it is loaded"):
        places(f"uprobe:{program}:0x1")


def test_only_regular_files_are_opened(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")  # opening one to read would wait for a writer
    for path in (tmp_path / "pipe", tmp_path, Path("/dev/zero")):
        with pytest.raises(TargetError, match="not a regular file"):
            ElfFile(str(path))
    with pytest.raises(TargetError, match="No such file"):
        ElfFile(str(tmp_path / "nothing"))
    with pytest.raises(TargetError):
        ElfFile("/bin/\0sh")


def everything_of(path: Path) -> None:
    with ElfFile(str(path)) as elf:
        elf.symbol("main")
        elf.function_names()
        elf.usdt_notes()


@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.tuples(st.integers(0, 4095), st.integers(0, 255)), min_size=1, max_size=12))
def test_damaged_file_is_refused_or_read(tmp_path: Path, damage: list[tuple[int, int]]) -> None:
    data = bytearray(elf_file(note(b"shop", b"sold", TEXT_AT + 40)))
    for place, value in damage:
        start = 0 if place % 2 else TEXT_OFFSET + 0x100  # where there is anything to damage
        data[start + place // 2 % 0x300] = value
    path = tmp_path / "damaged"
    path.write_bytes(data)
    with suppress(TargetError):
        everything_of(path)


@pytest.mark.parametrize("size", [0, 3, 63, 64, 119, 4200, 4800])
def test_truncated_file_is_refused(tmp_path: Path, size: int) -> None:
    path = tmp_path / "cut"
    path.write_bytes(elf_file()[:size])
    with pytest.raises(TargetError):
        everything_of(path)


def test_program_for_another_machine_is_refused(tmp_path: Path) -> None:
    data = bytearray(elf_file())
    data[18] = 8
    path = tmp_path / "mips"
    path.write_bytes(data)
    with pytest.raises(TargetError, match="not a 64-bit program"):
        ElfFile(str(path))


def test_return_probe_on_a_go_program_is_refused(tmp_path: Path) -> None:
    source = tmp_path / "go.c"
    source.write_text(
        '__attribute__((section(".go.buildinfo"))) char info[] = "go";'
        "int task(int n) { return n + 1; } int main(void) { return task(-1); }"
    )
    program = str(tmp_path / "go")
    subprocess.run(["gcc", "-o", program, source], check=True)
    assert places(f"uprobe:{program}:task")
    with pytest.raises(AttachError, match="is a Go program: a return probe would crash it"):
        places(f"uretprobe:{program}:task")


@pytest.mark.parametrize("name", ["c", "libc", "libc.so", "libc.so.6"])
def test_library_names_of_other_tools_are_accepted(name: str) -> None:
    (short, *_), (found, *_) = user_targets.paths("c"), user_targets.paths(name)
    assert found == short
    assert places(f"uprobe:{name}:malloc")


def test_finds_a_version_of_a_function() -> None:
    paths = user_targets.paths("c")
    with ElfFile(paths[0]) as libc:
        default, named = libc.symbol("malloc"), libc.symbol("malloc@@GLIBC_2.2.5")
        old = libc.symbol("memcpy@GLIBC_2.2.5")
        assert default == named
        assert libc.symbol("malloc@NO_SUCH") is None
        if platform.machine() == "x86_64":
            assert old is not None
            assert old.address != getattr(libc.symbol("memcpy"), "address", 0)
