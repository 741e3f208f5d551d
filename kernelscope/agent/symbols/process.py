"""Names of a process's addresses, even after it has ended.

While a process lives, its memory map is read and its files are opened, so they stay readable after
its end, after a deletion, and from another mount namespace. Others control all of this input:
files are limited in number, size and time, and malformed data names nothing.
"""

from __future__ import annotations

import os
import re
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from kernelscope.agent.kernel.demangle import demangle
from kernelscope.agent.symbols.jit_map import JitMap
from kernelscope.agent.symbols.kernel import Frame
from kernelscope.agent.symbols.mapping_events import MappedFile
from kernelscope.agent.symbols.modules import Module, ModuleFiles

_MAX_MAPS = 16 << 20
_MOST_SNAPSHOTS = 16
_MOST_MAPPINGS = 16384  # in all snapshots of a process together
_MAPPING = re.compile(r"([0-9a-f]+)-([0-9a-f]+) ..x. ([0-9a-f]+) ([0-9a-f]+:[0-9a-f]+) (\d+) *(.*)")


@dataclass(frozen=True)
class Mapping:
    """An executable range of a process's memory, and the file it maps."""

    start: int
    end: int
    offset: int
    device: str
    inode: int
    path: str

    @property
    def module(self) -> str:
        """The file's path as the process sees it, "[vdso]" and the like, or ""."""
        return self.path[: -len(" (deleted)")] if self.path.endswith(" (deleted)") else self.path


class _Snapshot:
    """The executable mappings of a process at one moment."""

    def __init__(self, mappings: list[Mapping]) -> None:
        self.mappings = sorted(mappings, key=lambda mapping: mapping.start)
        self._starts = [mapping.start for mapping in self.mappings]

    def find(self, address: int) -> Mapping | None:
        at = bisect_right(self._starts, address) - 1
        if at < 0 or address >= self.mappings[at].end:
            return None
        return self.mappings[at]


@lru_cache(maxsize=1)
def _own_vdso() -> Module | None:
    """Copy this process's vDSO into a file; all 64-bit processes have the same."""
    for mapping in parse_maps(Path("/proc/self/maps").read_text(errors="replace")):
        if mapping.path == "[vdso]":
            with Path("/proc/self/mem").open("rb", buffering=0) as memory:
                memory.seek(mapping.start)
                image = memory.read(mapping.end - mapping.start)
            fd = os.memfd_create("vdso", os.MFD_CLOEXEC)
            os.write(fd, image)
            return Module(fd)
    return None


def parse_maps(text: str) -> list[Mapping]:
    """Return the executable lines of /proc/PID/maps."""
    found = []
    for line in text.splitlines():
        match = _MAPPING.fullmatch(line)
        if match:
            start, end, offset = (int(match[i], 16) for i in (1, 2, 3))
            found.append(Mapping(start, end, offset, match[4], int(match[5]), match[6]))
    return found


class Process:
    """A process's memory maps, newest first, and its JIT compiler's map file, if any."""

    def __init__(self, pid: int, files: ModuleFiles) -> None:
        self.pid = pid
        self._files = files
        self._snapshots: list[_Snapshot] = []
        self._reported = _Snapshot([])
        self._jit: JitMap | None = None

    @property
    def is_known(self) -> bool:
        """Whether its memory map could be read."""
        return bool(self._snapshots or self._reported.mappings)

    def observe(self) -> None:
        """Read the process's maps now; nothing changes if it has ended."""
        try:
            with Path(f"/proc/{self.pid}/maps").open("rb") as file:
                mappings = parse_maps(file.read(_MAX_MAPS).decode(errors="replace"))
        except OSError:
            return
        if self._jit is None:
            self._jit = JitMap.open(self.pid)
        snapshot = _Snapshot(mappings[:_MOST_MAPPINGS])
        if not mappings:
            return
        for mapping in snapshot.mappings:
            if mapping.inode:
                key = (mapping.device, mapping.inode)
                self._files.keep(key, self.pid, mapping.start, mapping.end, mapping.path)
        if self._snapshots and self._snapshots[0].mappings == snapshot.mappings:
            return
        self._snapshots.insert(0, snapshot)
        while len(self._snapshots) > 1 and (
            len(self._snapshots) > _MOST_SNAPSHOTS
            or sum(len(each.mappings) for each in self._snapshots) > _MOST_MAPPINGS
        ):
            self._snapshots.pop()  # a process may map code all the time: the newest are enough

    def learn(self, mapped: Sequence[MappedFile]) -> None:
        """Add mappings that the kernel reported; those that were read from the process win."""
        mappings = [Mapping(*each) for each in mapped]
        for mapping in mappings:
            key = (mapping.device, mapping.inode)
            self._files.keep(key, self.pid, mapping.start, mapping.end, mapping.path)
        self._reported = _Snapshot(mappings)

    def read_jit(self) -> None:
        """Read what the JIT compiler has added to its map."""
        if self._jit is not None:
            self._jit.read()

    @property
    def jit_is_cut(self) -> bool:
        """Whether the JIT's map is larger than what is read of it."""
        return self._jit is not None and self._jit.is_cut

    def resolve(self, address: int) -> Frame:
        """Return the function at an address; ("", offset in the module, module) if it has no
        name, ("", address, "") if no mapping is known.
        """
        mapping = self._mapping(address)
        module = self._module(mapping) if mapping else None
        if mapping and module:
            name, offset = module.resolve(address - mapping.start + mapping.offset)
            if name:
                return demangle(name), offset, mapping.module
        else:
            offset = address
        compiled = self._jit.find(address) if self._jit is not None else None
        if compiled:
            return compiled[0], compiled[1], f"perf-{self.pid}.map"
        return "", offset, mapping.module if mapping and module else ""

    def _mapping(self, address: int) -> Mapping | None:
        for snapshot in (*self._snapshots, self._reported):
            found = snapshot.find(address)
            if found is not None:
                return found
        return None

    def _module(self, mapping: Mapping) -> Module | None:
        if mapping.path == "[vdso]":
            return _own_vdso()
        return self._files.find((mapping.device, mapping.inode))
