"""Known loads for the probes of bpf/syscall."""

from __future__ import annotations

import contextlib
import os
import time
from typing import Any

from workloads.probes.common import take_name


def system_calls() -> dict[str, Any]:
    """211 getppid; 107 failing close; 7 sleeps of 10 ms."""
    for _ in range(211):
        os.getppid()
    for _ in range(107):
        with contextlib.suppress(OSError):
            os.close(9999)
    for _ in range(7):
        time.sleep(0.01)
    return {}


def system_calls_at_once() -> dict[str, Any]:
    """Four processes named "ks-calls" with 5,003 getppid each, all at the same time."""
    take_name("ks-calls")
    children = []
    for _ in range(4):
        child = os.fork()
        if child == 0:
            for _ in range(5003):
                os.getppid()
            os._exit(0)
        children.append(child)
    for child in children:
        os.waitpid(child, 0)
    return {"processes": children}


def programs_started() -> dict[str, Any]:
    """13 programs with different arguments, one list too long; 3 that do not exist."""
    started = {}
    for number in range(13):
        arguments = ["true", f"number {number}", "", "é" * (900 if number == 12 else 1)]
        child = os.posix_spawn("/bin/true", arguments, {})
        os.waitpid(child, 0)
        started[child] = " ".join(arguments)
    for number in range(3):
        with contextlib.suppress(FileNotFoundError):
            os.posix_spawn(f"/nonexistent/{number}", ["nothing", str(number)], {})
    return {"started": started}
