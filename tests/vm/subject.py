"""A process that does a known amount of work when told to: what the tests count.

It is the distribution's Python, which has USDT probes, and imports next to nothing: starting it
under emulation takes a second, so that one serves all tests.
"""

from __future__ import annotations

import gc
import json
import mmap
import os
import resource
import socket
import subprocess
import sys
import time
from typing import Any

CALLS = 23
PAGES = 499
DATAGRAM = 1009
_PYTHON = "/usr/bin/python3"


def getpgid() -> int:
    """Call getpgid 23 times, through the C library; return the sum of what it returned."""
    return sum(os.getpgid(0) for _ in range(CALLS))


def collect() -> int:
    """Collect garbage 23 times."""
    for _ in range(CALLS):
        gc.collect()
    return CALLS


def burn() -> float:
    """Use a second of CPU time; return how much it was."""
    began = time.process_time()
    while time.process_time() - began < 1.0:
        pass
    return time.process_time() - began


def touch() -> int:
    """Write to 499 fresh pages; return the page faults that the kernel counted."""
    before = _faults()
    area = mmap.mmap(-1, PAGES * mmap.PAGESIZE)
    area.madvise(mmap.MADV_NOHUGEPAGE)
    for page in range(PAGES):
        area[page * mmap.PAGESIZE] = 1
    return _faults() - before


def _faults() -> int:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_minflt + used.ru_majflt  # 5.10 calls those here major


def send() -> int:
    """Send 23 datagrams of 1009 bytes to itself over lo; return how many arrived."""
    with socket.socket(type=socket.SOCK_DGRAM) as receiver:
        receiver.bind(("127.0.0.1", 0))
        receiver.settimeout(5)
        for _ in range(CALLS):
            receiver.sendto(bytes(DATAGRAM), receiver.getsockname())
        return sum(len(receiver.recv(2 * DATAGRAM)) == DATAGRAM for _ in range(CALLS))


class Subject:
    """The process, from outside."""

    def __enter__(self) -> Subject:
        self._process = subprocess.Popen(
            [_PYTHON, "-I", __file__], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        self.pid = self._process.pid
        self.do("getpgid")
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.communicate()

    def do(self, work: str) -> Any:
        """Have it do one of the works above; return what that returned."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(work + "\n")
        self._process.stdin.flush()
        return json.loads(self._process.stdout.readline())


def main() -> None:
    """Do each work that standard input names."""
    gc.disable()
    for line in sys.stdin:
        print(json.dumps(globals()[line.strip()]()), flush=True)


if __name__ == "__main__":
    main()
