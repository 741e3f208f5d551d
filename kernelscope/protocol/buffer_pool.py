"""Memory for large payloads, reused as soon as nothing refers to it.

Untouched memory costs a page fault per 4 KiB, which is more than the copy into it. A run that
keeps only its latest rows, or only counts events, would pay that for every byte; here it pays once.

Huge pages are not requested: a virtual machine's host takes back the free memory that they come
from, and a run that keeps everything then waits for the host, three times as long as for small
pages.
"""

from __future__ import annotations

import mmap
import sys

SIZE = 8 << 20  # a few of them stay in the CPU's cache
SMALLEST = 64 << 10  # smaller ones are separate: keeping one must not keep 8 MiB
LARGEST = SIZE // 2
_ALIGN = 64


def _references(mappings: list[mmap.mmap]) -> list[int]:
    """Return how many references each mapping has, including the list's and those made here."""
    return [sys.getrefcount(mapping) for mapping in mappings]


# The number for a mapping that nobody looks at. It differs between versions of Python: since 3.14
# a local variable's use adds none, and one more reader would have looked like none.
_UNUSED = _references([mmap.mmap(-1, mmap.PAGESIZE)])[0]


class BufferPool:
    """Returns writable memory that nothing else refers to; its contents are arbitrary."""

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
        """Return an unused mapping: a memoryview keeps a reference to its mapping."""
        references = _references(self._mappings)
        if _UNUSED in references:
            return self._mappings[references.index(_UNUSED)]
        mapping = mmap.mmap(-1, SIZE, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
        self._mappings.append(mapping)
        return mapping
