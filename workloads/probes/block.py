"""Known loads for the probes of bpf/block."""

from __future__ import annotations

import errno
import mmap
import os
import random
import time
from collections.abc import Iterable
from typing import Any


def direct_reads(path: str) -> dict[str, Any]:
    """211 reads of 4 KiB past the page cache, of a file or a disk of at least 1 MiB."""
    offsets = [random.randrange(256) * 4096 for _ in range(211)]
    begun = time.monotonic()
    _read(path, offsets)
    return {"offsets": offsets, "took_ms": 1000 * (time.monotonic() - begun)}


def _read(path: str, offsets: Iterable[int], size: int = 4096) -> None:
    fd = os.open(path, os.O_RDONLY | os.O_DIRECT)
    block = mmap.mmap(-1, size)
    for offset in offsets:
        os.preadv(fd, [block], offset)
    os.close(fd)


def direct_writes(disk: str) -> dict[str, Any]:
    """101 writes of 4 KiB past the page cache, and a flush after the first three."""
    fd = os.open(disk, os.O_WRONLY | os.O_DIRECT)
    block = mmap.mmap(-1, 4096)
    begun = time.monotonic()
    for number in range(101):
        os.pwritev(fd, [block], number * 4096)
        if number < 3:
            os.fsync(fd)
    took = time.monotonic() - begun
    os.close(fd)
    return {"took_ms": 1000 * took}


def reads_of_three_sizes(disk: str) -> dict[str, Any]:
    """53 reads of 4 KiB, 13 of 16 KiB and 5 of 64 KiB past the page cache."""
    counts = {4096: 53, 16384: 13, 65536: 5}
    for size, count in counts.items():
        _read(disk, [number % 16 * size for number in range(count)], size)
    return {"counts": counts}


def sequential_then_random(disk: str) -> dict[str, Any]:
    """102 reads of 4 KiB from the beginning on, then 53 of every other one, backwards."""
    _read(disk, [number * 4096 for number in range(102)])
    _read(disk, [number * 8192 for number in reversed(range(53))])
    return {}


def reads_in_two_bursts(disk: str) -> dict[str, Any]:
    """211 reads of 4 KiB, 1 ms apart, 0.3 s without any, and 12 more; when the parts began."""
    begun = time.time()
    for number in range(211):
        _read(disk, [number * 4096])
        time.sleep(0.001)
    paused = time.time()
    time.sleep(0.3)
    again = time.time()
    _read(disk, [number * 4096 for number in range(12)])
    return {"begun_s": begun, "paused_s": paused, "again_s": again}


def reads_that_fail(disk: str) -> dict[str, Any]:
    """One read of the first 4 KiB, and 7 beyond, where nothing is behind the disk."""
    errors = []
    _read(disk, [0])
    for number in range(1, 8):
        try:
            _read(disk, [number * 4096])
        except OSError as error:
            errors.append(errno.errorcode[error.errno or 0])
    return {"errors": errors}
