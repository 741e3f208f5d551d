"""Memory for large payloads, used again as soon as nobody looks at what was there.

Memory that no one has touched yet costs a page fault for every 4 KiB, which is more than the copy
into it. A run that keeps only its latest rows, or only looks at what comes, would pay that for
every byte; here it pays once.

No huge pages are asked for: a virtual machine's host takes back the free memory that they come
from, and a run that keeps all then waits for the host, three times as long as for small ones.
"""

from __future__ import annotations

import mmap
import sys

SIZE = 8 << 20  # few of them in turn stay in the CPU's cache
SMALLEST = 64 << 10  # smaller ones stand alone: one that is kept for long must not keep 8 MiB
LARGEST = SIZE // 2
_ALIGN = 64
_UNUSED = 3  # references to a mapping: the list's, a loop's, and that of the call that counts


class BufferPool:
    """Gives out memory that may be written and that nobody else has; what it holds is old."""

    def __init__(self) -> None:
        self._mappings: list[mmap.mmap] = []
        self._free = memoryview(b"")

    def take(self, size: int) -> bytearray | memoryview:
        """Return `size` bytes."""
        if not SMALLEST <= size <= LARGEST:
            return bytearray(size)
        if len(self._free) < size:
            self._free = memoryview(b"")
            self._free = memoryview(self._mapping())
        taken = self._free[:size]
        self._free = self._free[-(-size // _ALIGN) * _ALIGN :]
        return taken

    def _mapping(self) -> mmap.mmap:
        """Return a mapping that nobody looks at: a memoryview refers to what it shows."""
        for mapping in self._mappings:
            if sys.getrefcount(mapping) == _UNUSED:
                return mapping
        mapping = mmap.mmap(-1, SIZE, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
        self._mappings.append(mapping)
        return mapping
