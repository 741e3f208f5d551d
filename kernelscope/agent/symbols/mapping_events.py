"""Which files processes map to execute, as the kernel reports it when they do.

A process may end before its memory map can be read, and a library may be gone at the end of a run.
Records are struct perf_record_mmap2 (include/uapi/linux/perf_event.h, PERF_RECORD_MMAP2).
"""

from __future__ import annotations

import struct
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import suppress
from typing import NamedTuple

from kernelscope.agent.kernel.perf_buffer import PerfBuffer

_MOST_PROCESSES = 4096
_MOST_MAPPINGS = 1024  # of one process
_MMAP2 = 10
_HEADER = struct.Struct("=IHH")
_BODY = struct.Struct("=IIQQQIIQQII")


class MappedFile(NamedTuple):
    """A file that a process mapped. device: as in /proc/PID/maps."""

    start: int
    end: int
    offset: int
    device: str
    inode: int
    path: str


class MappingEvents:
    """Collects the mappings of all processes; the least recently seen are forgotten."""

    def __init__(self, buffer: PerfBuffer) -> None:
        self._buffer = buffer
        self._processes: OrderedDict[int, dict[int, MappedFile]] = OrderedDict()

    @classmethod
    def open(cls) -> MappingEvents | None:
        """Start to collect; None where the kernel does not allow it."""
        with suppress(OSError):
            return cls(PerfBuffer.of_mappings())
        return None

    def read(self) -> None:
        """Take the events that have arrived."""
        for _, data in self._buffer.drain():
            for pid, mapped in mapped_files(data):
                known = self._processes.setdefault(pid, {})
                if len(known) < _MOST_MAPPINGS or mapped.start in known:
                    known[mapped.start] = mapped
                self._processes.move_to_end(pid)
        while len(self._processes) > _MOST_PROCESSES:
            self._processes.popitem(last=False)

    def of(self, pid: int) -> list[MappedFile]:
        """Return the files that a process has mapped so far."""
        return list(self._processes.get(pid, {}).values())

    def close(self) -> None:
        """Stop to collect."""
        self._buffer.close()


def mapped_files(data: bytes) -> Iterator[tuple[int, MappedFile]]:
    """Yield the process and the file of each mapping among raw perf records."""
    at = 0
    while at + _HEADER.size <= len(data):
        kind, _, size = _HEADER.unpack_from(data, at)
        if size < _HEADER.size or at + size > len(data):
            return
        if kind == _MMAP2 and size > _HEADER.size + _BODY.size:
            pid, _, start, length, offset, major, minor, inode, *_ = _BODY.unpack_from(data, at + 8)
            name = data[at + 8 + _BODY.size : at + size].split(b"\0", 1)[0]
            path = name.decode(errors="surrogateescape")
            if inode and path.startswith("/"):
                device = f"{major:02x}:{minor:02x}"
                yield pid, MappedFile(start, start + length, offset, device, inode, path)
        at += size
