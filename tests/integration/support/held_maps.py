"""The BPF maps that a test's own processes hold, whatever else traces on this machine.

A program keeps its maps, so where a map is gone its program is gone. Ids of maps are given out in
turn: one that is gone is not soon another's.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from kernelscope.agent.kernel import syscalls

_MAP_GET_FD_BY_ID = 14


def held_maps(pid: int, *names: str) -> set[int]:
    """Return the ids of the maps of these names that a process or a descendant of it holds."""
    ids = {number for process in _family(pid) for number in _map_ids(process)}
    return {number for number in ids if _name(number) in names}


def any_left(ids: set[int]) -> bool:
    """Whether the kernel still has any of these maps."""
    return any(_name(number) is not None for number in ids)


def _family(pid: int) -> Iterator[int]:
    yield pid
    for task in Path(f"/proc/{pid}/task").glob("*/children"):
        with suppress(OSError):
            for child in task.read_text().split():
                yield from _family(int(child))


def _map_ids(pid: int) -> Iterator[int]:
    for file in Path(f"/proc/{pid}/fdinfo").glob("*"):
        with suppress(OSError):
            for line in file.read_text().splitlines():
                if line.startswith("map_id:"):
                    yield int(line.split()[1])


def _name(number: int) -> str | None:
    """Return a map's name; None if there is no such map."""
    try:
        fd = syscalls.bpf(_MAP_GET_FD_BY_ID, bytearray(struct.pack("=III", number, 0, 0)))
    except FileNotFoundError:
        return None
    try:
        return syscalls.map_info(fd).name
    finally:
        os.close(fd)
