from __future__ import annotations

import struct

from hypothesis import given
from hypothesis import strategies as st

from kernelscope.agent.symbols.mapping_events import MappedFile, mapped_files


def record(pid: int, path: bytes, inode: int = 77, kind: int = 10) -> bytes:
    body = struct.pack("=IIQQQIIQQII", pid, pid, 0x1000, 0x2000, 0x30, 254, 1, inode, 0, 5, 2)
    name = path.ljust(len(path) + 8 & ~7, b"\0")
    return struct.pack("=IHH", kind, 2, 8 + len(body) + len(name)) + body + name


def test_reads_the_mapped_files() -> None:
    data = record(7, b"/usr/bin/cc1") + record(8, b"/lib/a b.so")
    assert list(mapped_files(data)) == [
        (7, MappedFile(0x1000, 0x3000, 0x30, "fe:01", 77, "/usr/bin/cc1")),
        (8, MappedFile(0x1000, 0x3000, 0x30, "fe:01", 77, "/lib/a b.so")),
    ]


def test_skips_memory_without_a_file_and_other_records() -> None:
    data = record(7, b"//anon", inode=0) + record(7, b"[vdso]") + record(7, b"/x", kind=3)
    assert list(mapped_files(data)) == []


@given(st.binary(max_size=300))
def test_no_bytes_are_an_error(data: bytes) -> None:
    for pid, mapped in mapped_files(data):
        assert pid >= 0
        assert mapped.path.startswith("/")
