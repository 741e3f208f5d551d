"""Known loads for the probes of bpf/fs that look at reads, writes and their time."""

from __future__ import annotations

import fcntl
import os
import signal
import threading
import time
from pathlib import Path
from typing import Any

from workloads.probes.common import take_name

LEASED = 0.01


def file_traffic(folder: str) -> dict[str, Any]:
    """101 + 7 + 5 writes, 53 + 11 + 3 reads and 5 syncs of one file; 13 opens, 17 lists, a pipe."""
    path = Path(folder, "ks-traffic")
    fd = os.open(path, os.O_RDWR | os.O_CREAT)
    written = sum(os.write(fd, b"x" * 1009) for _ in range(101))
    written += sum(os.writev(fd, [b"y" * 100, b"z" * 3]) for _ in range(7))
    written += sum(os.pwrite(fd, b"p" * 17, 4096 * number) for number in range(5))
    read = sum(len(os.pread(fd, 211, number)) for number in range(53))
    os.lseek(fd, 0, os.SEEK_SET)
    read += sum(os.readv(fd, [bytearray(50), bytearray(9)]) for _ in range(11))
    read += sum(len(os.read(fd, 499)) for _ in range(3))
    for sync in (os.fsync, os.fsync, os.fsync, os.fdatasync, os.fdatasync):
        sync(fd)
    os.close(fd)
    for _ in range(13):
        os.close(os.open(path, os.O_RDONLY))
    for _ in range(17):
        list(Path(folder).iterdir())
    _through_a_pipe()
    return {"file": path.name, "inode": path.stat().st_ino, "read": read, "written": written}


def _through_a_pipe() -> None:
    ends = os.pipe()
    for _ in range(23):
        os.write(ends[1], b"x" * 31)
        os.read(ends[0], 31)
    for fd in ends:
        os.close(fd)


def slow_opens(folder: str) -> dict[str, Any]:
    """7 opens that wait 10 ms each for another's lease on the file, and 101 that do not wait."""
    take_name("ks-leases")
    path = Path(folder, "ks-leased")
    path.touch()
    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGIO])
    waits = [_open_leased(path) for _ in range(7)]
    for _ in range(101):
        os.close(os.open(path, os.O_RDONLY))
    return {"file": path.name, "waited_us": waits}


def _open_leased(path: Path) -> float:
    """Return how long an open waited, measured by the waiting process."""
    waits: list[float] = []

    def wait() -> None:
        begun = time.monotonic()
        os.close(os.open(path, os.O_WRONLY))
        waits.append((time.monotonic() - begun) * 1e6)

    holder = os.open(path, os.O_RDONLY)
    fcntl.fcntl(holder, fcntl.F_SETLEASE, fcntl.F_RDLCK)
    opener = threading.Thread(target=wait)
    opener.start()
    signal.sigwait([signal.SIGIO])
    time.sleep(LEASED)
    fcntl.fcntl(holder, fcntl.F_SETLEASE, fcntl.F_UNLCK)
    opener.join()
    os.close(holder)
    return waits[0]
