"""/tmp/perf-PID.map: the functions that a process's JIT compiler has written down."""

from __future__ import annotations

import os
import re
import stat
from bisect import bisect_left, bisect_right
from pathlib import Path

MOST_BYTES = 32 << 20
_FEW = 4096  # so many added lines are put in one by one; with more, all are sorted again
_MOST_NAME = 1024
_OPEN = os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY | os.O_NOFOLLOW
_LINE = re.compile(r"^(?:0x)?([0-9a-fA-F]{1,16}) (?:0x)?([0-9a-fA-F]{1,16}) ([^\n]+)$", re.M)

Line = tuple[int, int, str]


class JitMap:
    """A JIT's map, of which `read` takes what was added since the last time."""

    def __init__(self, fd: int) -> None:
        self._fd = fd
        self._read_bytes = 0
        self._rest = ""
        self._starts: list[int] = []
        self._functions: list[Line] = []

    @classmethod
    def open(cls, pid: int) -> JitMap | None:
        """Open the map as the process sees it, if its user or root wrote it.

        perf takes the same owners (tools/perf/util/symbol.c, dso__load_perf_map).
        """
        try:
            text = Path(f"/proc/{pid}/status").read_text(errors="replace")
            status = dict(line.split(":", 1) for line in text.splitlines() if ":" in line)
            own_pid = status.get("NSpid", str(pid)).split()[-1]
            user = int(status["Uid"].split()[1])
            fd = os.open(f"/proc/{pid}/root/tmp/perf-{own_pid}.map", _OPEN)
        except (OSError, KeyError, ValueError, IndexError):
            return None
        found = os.fstat(fd)
        if found.st_uid in (user, 0) and stat.S_ISREG(found.st_mode):
            return cls(fd)
        os.close(fd)
        return None

    def read(self) -> None:
        """Read the lines added since the last call, as far as the limit allows."""
        size = min(os.fstat(self._fd).st_size, MOST_BYTES)
        if size <= self._read_bytes:
            return
        data = os.pread(self._fd, size - self._read_bytes, self._read_bytes)
        self._read_bytes += len(data)
        text = self._rest + data.decode(errors="replace")
        whole, _, self._rest = text.rpartition("\n")
        added = parse(whole)
        if len(added) > _FEW:
            self._functions = latest(self._functions + added)
            self._starts = [start for start, _, _ in self._functions]
        else:
            for line in added:
                self._insert(line)

    def _insert(self, line: Line) -> None:
        """Put in a line and drop the functions that it overlaps."""
        start, size, _ = line
        first = bisect_right(self._starts, start) - 1
        if first < 0 or _end(self._functions[first]) <= start:
            first += 1
        last = bisect_left(self._starts, start + max(size, 1), first)
        self._functions[first:last] = [line]
        self._starts[first:last] = [start]

    @property
    def is_cut(self) -> bool:
        """Whether the map is larger than what is read of it."""
        return os.fstat(self._fd).st_size > MOST_BYTES

    def find(self, address: int) -> tuple[str, int] | None:
        """Return the function around an address and the offset in it."""
        at = bisect_right(self._starts, address) - 1
        if at < 0:
            return None
        start, size, name = self._functions[at]
        return (name, address - start) if address < start + size or not size else None


def _end(line: Line) -> int:
    return line[0] + max(line[1], 1)


def parse(text: str) -> list[Line]:
    """Return start, size and name of each well-formed line, in the order of the text."""
    return [
        (int(start, 16), int(size, 16), name[:_MOST_NAME])
        for start, size, name in _LINE.findall(text)
        if name.isprintable()
    ]


def latest(lines: list[Line]) -> list[Line]:
    """Return the functions by address; of overlapping ones the last line holds.

    A JIT reuses the space of code that it has freed.
    """
    numbered = sorted((start, order, size, name) for order, (start, size, name) in enumerate(lines))
    kept: list[tuple[int, int, int, str]] = []
    for entry in numbered:
        start, order, _, _ = entry
        while kept and start < kept[-1][0] + max(kept[-1][2], 1) and order > kept[-1][1]:
            kept.pop()
        if not kept or start >= kept[-1][0] + max(kept[-1][2], 1):
            kept.append(entry)
    return [(start, size, name) for start, _, size, name in kept]
