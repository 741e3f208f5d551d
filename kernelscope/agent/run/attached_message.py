"""Build the `attached` message: what the client needs to decode the rest of the stream."""

from __future__ import annotations

import platform
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kernelscope.agent.btf import ids
from kernelscope.agent.kernel import clock, syscalls

if TYPE_CHECKING:
    from kernelscope.agent.compile.compiler import Object


def compiled(obj: Object) -> dict[str, Any]:
    """Return what compiling the program found out."""
    return {
        "cached": obj.cached,
        "header": obj.header,
        "warnings": list(obj.warnings),
        "substituted": list(obj.substituted),
        "printk_formats": list(obj.printk_formats),
        "lost_counted": obj.counts_losses,
    }


def machine(enums: Sequence[str]) -> dict[str, Any]:
    """Return facts about this machine: clocks now, kernel, CPUs, disks, and the named enums."""
    return {
        "clock": clocks(),
        "cpus": syscalls.possible_cpus(),
        "devices": _devices(),
        "enums": {name: ids.enumerators(name) for name in enums},
        "kernel": {
            "release": platform.release(),
            "version": platform.version(),
            "machine": platform.machine(),
        },
        "host": platform.node(),
    }


def clocks() -> dict[str, int]:
    """Return both clocks, read at one moment: the client converts event times with them."""
    return {"monotonic_ns": clock.monotonic_ns(), "realtime_ns": time.time_ns()}


def _devices() -> dict[str, str]:
    """Return the disks' and partitions' names by "major:minor"."""
    names = {}
    for line in _read_text("/proc/partitions").splitlines()[2:]:
        parts = line.split()
        if len(parts) == 4:
            names[f"{parts[0]}:{parts[1]}"] = parts[3]
    return names


def _read_text(path: str) -> str:
    try:
        return Path(path).read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
