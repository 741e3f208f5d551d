"""The kernel's monotonic clock, which BPF programs read: not that of a time namespace.

In a time namespace CLOCK_MONOTONIC has an offset (time_namespaces(7)), and bpf_ktime_get_ns has
none. All times of a run, the agent's own too, are on the kernel's clock.
"""

from __future__ import annotations

import time
from functools import lru_cache
from pathlib import Path

_OFFSETS = Path("/proc/self/timens_offsets")


def monotonic_ns() -> int:
    """Return the kernel's CLOCK_MONOTONIC in nanoseconds."""
    return time.monotonic_ns() - _offset_ns()


@lru_cache(maxsize=1)
def _offset_ns() -> int:
    """Return what this process's time namespace adds to CLOCK_MONOTONIC; it never changes."""
    try:
        lines = _OFFSETS.read_text(encoding="ascii").splitlines()
    except OSError:  # a kernel without time namespaces
        return 0
    for line in lines:
        name, seconds, nanoseconds = line.split()
        if name in ("monotonic", "1"):  # its number before Linux 5.7
            return int(seconds) * 10**9 + int(nanoseconds)
    return 0
