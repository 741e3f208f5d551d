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
    from kernelscope.protocol.program import Program


def compiled(obj: Object) -> dict[str, Any]:
    """Return what compiling the program found out."""
    return {
        "cached": obj.cached,
        "header": obj.header,
        "substituted": list(obj.substituted),
        "printk_formats": list(obj.printk_formats),
        "lost_counted": obj.counts_losses,
    }


def unseen(program: Program, specs: Sequence[str]) -> list[str]:
    """Return a warning where the run is restricted to a process whose calls its hooks miss.

    The tracepoints of single system calls leave 32-bit programs out; tp_btf:sys_enter does not.
    """
    pid = program.filters.pid or program.params.get("filter_pid")
    single = any(spec.startswith("tracepoint:syscalls:") for spec in specs)
    if not pid or not single or "tp_btf:sys_enter" in specs or not _is_32bit(pid):
        return []
    return [f"process {pid} is a 32-bit program: tracepoint:syscalls:* hooks do not see its calls"]


def _is_32bit(pid: int) -> bool:
    try:
        with Path(f"/proc/{pid}/exe").open("rb") as file:
            return file.read(5) == b"\x7fELF\x01"  # EI_CLASS: ELFCLASS32
    except OSError:
        return False


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
