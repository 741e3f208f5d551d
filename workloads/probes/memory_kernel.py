"""Known loads for the probes of bpf/memory that look at the kernel's own work."""

from __future__ import annotations

import ctypes
import os
import time
from pathlib import Path
from typing import Any

GROUPS = Path("/sys/fs/cgroup")


def _make_group(limit: int) -> Path:
    """Make a memory cgroup with a limit, of the version that this machine has."""
    parent = GROUPS / "memory"
    if not (parent / "cgroup.procs").exists():
        parent = GROUPS
        (parent / "cgroup.subtree_control").write_text("+memory")
    group = parent / f"ks-{os.getpid()}"
    group.mkdir()
    for name in ("memory.limit_in_bytes", "memory.max"):
        if (group / name).exists():
            (group / name).write_text(str(limit))
    if (group / "memory.swap.max").exists():
        (group / "memory.swap.max").write_text("0")
    return group


def _remove_group(group: Path) -> None:
    for _ in range(100):
        try:
            return group.rmdir()
        except OSError:  # the last process in it is still leaving
            time.sleep(0.01)
    return None


def _oom_kills(group: Path) -> int:
    """Return the group's own count."""
    for name in ("memory.oom_control", "memory.events"):
        if (group / name).exists():
            words = (group / name).read_text().split()
            return int(words[words.index("oom_kill") + 1])
    return 0


def _statistics(group: Path) -> dict[str, int]:
    words = (group / "memory.stat").read_text().split()
    return dict(zip(words[::2], map(int, words[1::2]), strict=True))


def memory_run_out() -> dict[str, Any]:
    """3 processes named "ks-victim" that take memory in a group of 16 MiB until they are killed."""
    try:
        group = _make_group(16 << 20)
    except OSError as error:
        return {"refused": str(error)}
    ended = {}
    for _ in range(3):
        child = os.fork()
        if child == 0:
            Path("/proc/self/comm").write_text("ks-victim")
            (group / "cgroup.procs").write_text(str(os.getpid()))
            held = [b"x" * (1 << 20) for _ in range(64)]
            os._exit(len(held))
        ended[child] = os.WTERMSIG(os.waitpid(child, 0)[1])
    kills = _oom_kills(group)
    _remove_group(group)
    return {"ended": ended, "kills": kills}


def limit_reached(folder: str) -> dict[str, Any]:
    """Read a file of 4,093 pages that is not in memory within a limit of 1,024 pages."""
    page = os.sysconf("SC_PAGE_SIZE")
    path = Path(folder, "ks-large")
    path.write_bytes(b"x" * (4093 * page))
    try:
        group = _make_group(1024 * page)
    except OSError as error:
        return {"refused": str(error)}
    fd = os.open(path, os.O_RDONLY)
    os.fsync(fd)
    os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)
    os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_RANDOM)  # readahead would fill the limit by itself
    child = os.fork()
    if child == 0:
        (group / "cgroup.procs").write_text(str(os.getpid()))
        while os.read(fd, 1 << 16):
            pass
        os._exit(0)
    os.waitpid(child, 0)
    os.close(fd)
    counted = _statistics(group)
    path.unlink()
    _remove_group(group)
    return {"child": child, "counted": counted}


def memory_compacted() -> dict[str, Any]:
    """Make the kernel compact all memory 3 times."""
    try:
        for _ in range(3):
            Path("/proc/sys/vm/compact_memory").write_text("1")
    except OSError as error:
        return {"refused": str(error)}
    return {}


def kernel_objects() -> dict[str, Any]:
    """Make 101 event counters that stay and 53 that are closed at once."""
    make = ctypes.CDLL(None).eventfd
    kept = [make(0, 0) for _ in range(101)]
    for _ in range(53):
        os.close(make(0, 0))
    return {"kept": kept}
