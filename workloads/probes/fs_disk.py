"""Known loads for the probes of bpf/fs that look at disks: ext4, write-back, the page cache."""

from __future__ import annotations

import ctypes
import mmap
import os
import time
from pathlib import Path
from typing import Any

PAGE = mmap.PAGESIZE


def ext4_work(folder: str) -> dict[str, Any]:
    """101 writes of a page's part, 11 syncs, 7 truncations, 5 allocations, 13 unlinks."""
    path = Path(folder, "ks-ext4")
    fd = os.open(path, os.O_RDWR | os.O_CREAT)
    syncs = []
    for number in range(101):
        os.pwrite(fd, b"x" * 100, number * PAGE)
        if number % 10 == 0:
            begun = time.monotonic()
            os.fsync(fd)
            syncs.append((time.monotonic() - begun) * 1e6)
    for number in range(7):
        os.ftruncate(fd, (89 - number) * PAGE)
    for number in range(5):
        os.posix_fallocate(fd, (211 + number) * PAGE, PAGE)
    os.close(fd)
    for number in range(13):
        Path(folder, f"ks-gone-{number}").touch()
        Path(folder, f"ks-gone-{number}").unlink()
    return {"file": path.name, "inode": path.stat().st_ino, "syncs_us": syncs}


def pages_dirtied(folder: str) -> dict[str, Any]:
    """Write 1,009 pages of a new file, and sync its file system."""
    fd = os.open(Path(folder, "ks-dirty"), os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    for _ in range(1009):
        os.write(fd, b"x" * PAGE)
    begun = time.monotonic()
    ctypes.CDLL(None).syncfs(fd)
    took = time.monotonic() - begun
    os.close(fd)
    return {"took_us": took * 1e6}


def cached_and_not(path: str) -> dict[str, Any]:
    """Read 211 pages of a file that is not in memory, one by one, and 7 times those 101 that are.

    The file's readahead is off, so that each page is read separately.
    """
    fd = os.open(path, os.O_RDONLY)
    os.fsync(fd)
    os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)
    os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_RANDOM)
    for number in range(211):
        os.pread(fd, 100, number * PAGE)
    for _ in range(7):
        os.preadv(fd, [bytearray(101 * PAGE)], 0)
    os.close(fd)
    return {}


def read_ahead(path: str) -> dict[str, Any]:
    """Read the 211 first pages of a file that is not in memory, in order, one by one."""
    fd = os.open(path, os.O_RDONLY)
    os.fsync(fd)
    os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)
    for _ in range(211):
        os.read(fd, PAGE)
    os.close(fd)
    return {}
