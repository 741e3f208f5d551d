"""Known loads for the probes of bpf/memory."""

from __future__ import annotations

import ctypes
import mmap
import os
from typing import Any

PAGE = mmap.PAGESIZE
LIBC = ctypes.CDLL(None, use_errno=True)
LIBC.mmap.restype = LIBC.mremap.restype = LIBC.sbrk.restype = ctypes.c_void_p
for _name in ("mmap", "munmap", "mprotect", "mremap"):
    getattr(LIBC, _name).argtypes = [ctypes.c_void_p, ctypes.c_size_t]
LIBC.malloc.restype = LIBC.calloc.restype = LIBC.realloc.restype = ctypes.c_void_p
LIBC.realloc.argtypes = [ctypes.c_void_p, ctypes.c_size_t]
LIBC.free.argtypes = [ctypes.c_void_p]
LIBC.sbrk.argtypes = [ctypes.c_ssize_t]
ANONYMOUS = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS
READ_WRITE = mmap.PROT_READ | mmap.PROT_WRITE


def _integers(*values: int) -> list[ctypes.c_long]:
    return [ctypes.c_long(value) for value in values]


def address_space() -> dict[str, Any]:
    """101 maps, 53 changes of protection, 23 moves, 101 unmaps, 7 maps that fail, 11 brk."""
    sizes = [PAGE * (1009 + number) for number in range(101)]
    maps = [LIBC.mmap(None, size, *_integers(READ_WRITE, ANONYMOUS, -1, 0)) for size in sizes]
    for address, size in zip(maps[:53], sizes, strict=False):
        LIBC.mprotect(address, size, *_integers(mmap.PROT_READ))
    moved = list(maps)
    for number in range(23):
        new = ctypes.c_size_t(sizes[number] + PAGE * 211)
        moved[number] = LIBC.mremap(maps[number], sizes[number], new, *_integers(1))
        sizes[number] = new.value
    for address, size in zip(moved, sizes, strict=True):
        LIBC.munmap(address, size)
    for _ in range(7):
        LIBC.mmap(None, 0, *_integers(READ_WRITE, ANONYMOUS, -1, 0))
    ends = [LIBC.sbrk(PAGE * 1013) + PAGE * 1013 for _ in range(11)]
    return {"maps": maps, "moved": moved[:23], "sizes": sizes, "ends": ends}


def heap_grown() -> dict[str, Any]:
    """101 steps of the heap's end, each of 4,099 bytes."""
    for _ in range(101):
        LIBC.sbrk(4099)
    return {}


def pages_touched(path: str) -> dict[str, Any]:
    """Touch 1,009 new pages, and 101 pages of a file that is not in memory."""
    memory = mmap.mmap(-1, 1009 * PAGE)
    memory.madvise(mmap.MADV_NOHUGEPAGE)
    for number in range(1009):
        memory[number * PAGE] = 1
    with open(path, "rb") as file:  # noqa: PTH123 - as short as it gets
        os.fsync(file.fileno())
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
        mapped = mmap.mmap(file.fileno(), 0, prot=mmap.PROT_READ)
    mapped.madvise(mmap.MADV_RANDOM)
    total = sum(mapped[number * PAGE] for number in range(101))
    mapped.close()
    return {"total": total}


def memory_leaked() -> dict[str, Any]:
    """Keep 101 pieces of malloc, 53 of calloc, 23 of realloc, 11 aligned; give back 211."""
    kept = [(LIBC.malloc(5003 + number), 5003 + number) for number in range(101)]
    kept += [(LIBC.calloc(7, 1009 + number), 7 * (1009 + number)) for number in range(53)]
    for number in range(23):
        larger = 9001 + number
        kept.append((LIBC.realloc(LIBC.malloc(4099), larger), larger))
    for number in range(11):
        place = ctypes.c_void_p()
        LIBC.posix_memalign(ctypes.byref(place), *_integers(64, 6007 + number))
        kept.append((place.value, 6007 + number))
    for _ in range(211):
        LIBC.free(LIBC.malloc(4111))
    return {"kept": kept}
