"""Known loads for the probes of bpf/block."""

from __future__ import annotations

import mmap
import os
import random
from typing import Any


def direct_reads(path: str) -> dict[str, Any]:
    """211 reads of 4 KiB past the page cache, of a file or a disk of at least 1 MiB."""
    fd = os.open(path, os.O_RDONLY | os.O_DIRECT)
    block = mmap.mmap(-1, 4096)
    for _ in range(211):
        os.preadv(fd, [block], random.randrange(256) * 4096)
    os.close(fd)
    return {}


def direct_writes(disk: str) -> dict[str, Any]:
    """101 writes of 4 KiB past the page cache, and a flush after the first three."""
    fd = os.open(disk, os.O_WRONLY | os.O_DIRECT)
    block = mmap.mmap(-1, 4096)
    for number in range(101):
        os.pwritev(fd, [block], number * 4096)
        if number < 3:
            os.fsync(fd)
    os.close(fd)
    return {}
