"""From addresses to names: the parts that need no kernel."""

from __future__ import annotations

import os
import struct
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kernelscope.agent.symbols import process as process_symbols
from kernelscope.agent.symbols.kernel import KernelSymbols
from kernelscope.agent.symbols.process import FunctionTable, Mapping, ModuleFiles, Process, demangle
from kernelscope.agent.symbols.stacks import StackResolver
from kernelscope.protocol.layout import Field, Layout

KALLSYMS = """\
ffffffff81000000 T _text
ffffffff81000100 t do_one
ffffffff81000100 T __alias_of_one
ffffffff81000200 D some_data
ffffffff81000300 W weak_one
ffffffffc0002000 t ext_write\t[ext4]
ffffffffc0001000 t bpf_prog_5f_on_read\t[bpf]
0000000000000000 A fixed_percpu_data
"""


@pytest.fixture
def symbols(tmp_path: Path) -> KernelSymbols:
    path = tmp_path / "kallsyms"
    path.write_text(KALLSYMS)
    return KernelSymbols(path)


@pytest.mark.parametrize(
    ("address", "frame"),
    [
        (0xFFFFFFFF81000105, ("do_one", 5, "[kernel]")),
        (0xFFFFFFFF81000100, ("do_one", 0, "[kernel]")),
        (0xFFFFFFFF81000210, ("do_one", 0x110, "[kernel]")),  # data is no function
        (0xFFFFFFFF81000301, ("weak_one", 1, "[kernel]")),
        (0xFFFFFFFFC0002004, ("ext_write", 4, "[ext4]")),
        (0xFFFFFFFFC0001004, ("bpf_prog_5f_on_read", 4, "[bpf]")),
        (0xFFFFFFFF80FFFFFF, ("", 0xFFFFFFFF80FFFFFF, "")),
        (0xFFFFFFFFF0000000, ("", 0xFFFFFFFFF0000000, "")),
    ],
)
def test_a_kernel_address_belongs_to_the_function_before_it(
    symbols: KernelSymbols, address: int, frame: tuple[str, int, str]
) -> None:
    assert symbols.resolve(address) == frame


def test_a_kernel_that_hides_its_addresses_has_no_names(tmp_path: Path) -> None:
    path = tmp_path / "kallsyms"
    path.write_text("0000000000000000 T _text\n0000000000000000 t do_one\n")
    assert KernelSymbols(path).resolve(0xFFFFFFFF81000000) == ("", 0xFFFFFFFF81000000, "")
    assert KernelSymbols(tmp_path / "none").resolve(1 << 63) == ("", 1 << 63, "")


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


@pytest.mark.parametrize(
    ("symbol", "source"),
    [
        ("_ZN4shop4Till5pauseEi", "shop::Till::pause(int)"),
        ("main", "main"),
        ("_Znonsense", "_Znonsense"),
    ],
)
def test_demangles_cpp_names(symbol: str, source: str) -> None:
    assert demangle(symbol) == source


def test_reads_the_executable_lines_of_a_memory_map() -> None:
    text = (
        "55d0c0000000-55d0c0010000 r--p 00000000 fe:00 77 /usr/bin/a b\n"
        "55d0c0010000-55d0c0020000 r-xp 00010000 fe:00 77 /usr/bin/a b (deleted)\n"
        "7f0000000000-7f0000001000 rwxp 00000000 00:00 0 \n"
        "7ffc00000000-7ffc00002000 r-xp 00000000 00:00 0                          [vdso]\n"
    )
    first, jit, vdso = process_symbols._parse(text)
    assert first == Mapping(
        0x55D0C0010000, 0x55D0C0020000, 0x10000, "fe:00", 77, "/usr/bin/a b (deleted)"
    )
    assert first.module == "/usr/bin/a b"
    assert (jit.inode, jit.path) == (0, "")
    assert vdso.module == "[vdso]"


@given(st.text())
def test_no_text_in_a_jit_map_is_an_error(text: str) -> None:
    for start, size, name in process_symbols._parse_jit(text):
        assert start >= 0
        assert size >= 0
        assert name.isprintable()


def test_skips_malformed_lines_of_a_jit_map() -> None:
    text = "7f00 20 main.go: hot path\n0x7f20 0x10 py::run\nbad\n7f40 xyz no\n7f50 10 \x1b[31m\n"
    assert process_symbols._parse_jit(text) == [
        (0x7F00, 0x20, "main.go: hot path"),
        (0x7F20, 0x10, "py::run"),
    ]


def test_names_functions_in_the_vdso() -> None:
    process = Process(os.getpid(), ModuleFiles())
    process.observe()
    maps = process_symbols._parse(Path("/proc/self/maps").read_text())
    vdso = next(mapping for mapping in maps if mapping.path == "[vdso]")
    found = process_symbols._own_vdso()
    assert found is not None
    found.resolve(0)
    assert found._table is not None
    start = found._table._starts[0]
    assert process.resolve(vdso.start + start) == (*(found._table.find(start) or ()), "[vdso]")


def test_a_file_that_is_not_elf_has_no_names(tmp_path: Path) -> None:
    path = tmp_path / "data"
    path.write_bytes(b"\x7fELF" + bytes(range(256)) * 4)
    with path.open("rb") as file:
        assert process_symbols.Module(file.fileno()).resolve(64) == ("", 64)


# --- where stacks are looked for -----------------------------------------------------------------


def wants(*fields: Field) -> bool:
    return StackResolver({}, [Layout("t", "hash", key=fields, key_size=16)]).wants("t")


def test_integers_with_stack_in_their_name_are_stack_ids() -> None:
    assert wants(Field("user_stack_id", "s32", 0, 4))
    assert wants(Field("key.kernstack", "s64", 0, 8))
    assert not wants(Field("stack.pid", "u32", 0, 4))
    assert not wants(Field("stack", "char", 0, 16, count=16))
    assert not wants(Field("pid", "u32", 0, 4))


PID_AND_STACK = (Field("pid", "u32", 0, 4), Field("stack_id", "s32", 6, 4))  # packed


def stacks_seen(form: str, data: bytes, stride: int = 0) -> set[tuple[int, int]]:
    resolver = StackResolver({}, [Layout("t", form, value=PID_AND_STACK)])
    if form == "perf":
        resolver.observe_perf("t", data)
    else:
        resolver.observe_records("t", data, stride)
    return {(pid, stack) for _, pid, stack in resolver._wanted()}


def ring_record(payload: bytes, flags: int = 0) -> bytes:
    padding = bytes(-len(payload) % 8)
    return struct.pack("=II", len(payload) | flags, 0) + payload + padding


def test_finds_stacks_in_records_of_one_length() -> None:
    records = [struct.pack("=IHi", 0, 0, stack) for stack in (5, 6, 5, -14)]
    assert stacks_seen("ring", b"".join(map(ring_record, records)), 24) == {(0, 5), (0, 6)}


def test_finds_stacks_in_records_of_mixed_lengths() -> None:
    data = (
        ring_record(struct.pack("=IHi", 0, 0, 5))
        + ring_record(b"short")
        + ring_record(struct.pack("=IHi", 0, 0, 8), flags=1 << 30)
        + ring_record(struct.pack("=IHi13x", 0, 0, 7))
    )
    assert stacks_seen("ring", data) == {(0, 5), (0, 7)}


def test_records_that_end_before_the_stack_id_have_none() -> None:
    assert stacks_seen("ring", ring_record(bytes(0)) * 3, 8) == set()


def test_finds_stacks_in_perf_records() -> None:
    raw = struct.pack("=IHi2x", 0, 0, 5)
    head = struct.pack("=IIQIII", 1, 1, 0, 0, 0, len(raw))
    sample = struct.pack("=IHH", 9, 0, 8 + len(head) + len(raw)) + head + raw
    lost = struct.pack("=IHHQQ", 2, 0, 24, 1, 1)
    assert stacks_seen("perf", lost + sample + lost) == {(0, 5)}


def test_does_not_read_a_large_map_again_at_once() -> None:
    field = Field("stack_id", "s32", 0, 4)
    layout = Layout("t", "hash", key=(field,), key_size=4, value_size=8)
    resolver = StackResolver({}, [layout])
    resolver.observe_map("t", 1_000_000, b"\xff" * 4_000_000, b"")
    assert not resolver.wants("t")
