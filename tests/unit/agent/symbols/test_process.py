from __future__ import annotations

import os
from pathlib import Path

from kernelscope.agent.symbols import process as process_symbols
from kernelscope.agent.symbols.modules import ModuleFiles
from kernelscope.agent.symbols.process import Mapping, Process


def test_reads_the_executable_lines_of_a_memory_map() -> None:
    text = (
        "55d0c0000000-55d0c0010000 r--p 00000000 fe:00 77 /usr/bin/a b\n"
        "55d0c0010000-55d0c0020000 r-xp 00010000 fe:00 77 /usr/bin/a b (deleted)\n"
        "7f0000000000-7f0000001000 rwxp 00000000 00:00 0 \n"
        "7ffc00000000-7ffc00002000 r-xp 00000000 00:00 0                          [vdso]\n"
    )
    first, jit, vdso = process_symbols.parse_maps(text)
    assert first == Mapping(
        0x55D0C0010000, 0x55D0C0020000, 0x10000, "fe:00", 77, "/usr/bin/a b (deleted)"
    )
    assert first.module == "/usr/bin/a b"
    assert (jit.inode, jit.path) == (0, "")
    assert vdso.module == "[vdso]"


def test_names_functions_in_the_vdso() -> None:
    process = Process(os.getpid(), ModuleFiles())
    process.observe()
    maps = process_symbols.parse_maps(Path("/proc/self/maps").read_text())
    vdso = next(mapping for mapping in maps if mapping.path == "[vdso]")
    found = process_symbols._own_vdso()
    assert found is not None
    found.resolve(0)
    assert found._table is not None
    start = found._table._starts[0]
    assert process.resolve(vdso.start + start) == (*(found._table.find(start) or ()), "[vdso]")
