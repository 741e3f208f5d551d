"""Known loads, with a prime number of events each, and what an independent source says of them.

Each load is a function that runs in a process of its own and returns facts as plain JSON values.
`started` runs one: the process waits until `go` and stays, waiting, until the block ends.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import mmap
import os
import random
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

LOOPBACK = {socket.AF_INET: "127.0.0.1", socket.AF_INET6: "::1"}


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
    _take_name("ks-calls")
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


def _take_name(name: str) -> None:
    Path("/proc/self/comm").write_text(name)


def programs_started() -> dict[str, Any]:
    """13 programs with arguments of their own, one of them too long a list; 3 not there."""
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


def files_opened() -> dict[str, Any]:
    """101 opens of one file, 23 of one that is not there, and one each by open's older ways."""
    with tempfile.TemporaryDirectory() as folder:
        path = str(Path(folder, "x" * 200))
        Path(path).touch()
        descriptors = [os.open(path, os.O_RDWR) for _ in range(101)]
        for fd in descriptors:
            os.close(fd)
        for _ in range(23):
            with contextlib.suppress(FileNotFoundError):
                os.open(path + ".missing", os.O_WRONLY | os.O_APPEND)
        return {"path": path, "fds": descriptors, "others": _opened_otherwise(folder)}


def _opened_otherwise(folder: str) -> list[str]:
    call = ctypes.CDLL(None).syscall
    paths = [f"{folder}/{name}" for name in ("open", "creat", "openat2")]
    if os.uname().machine != "x86_64":
        return []
    how = (ctypes.c_uint64 * 3)(os.O_CREAT | os.O_WRONLY, 0o600, 0)
    opened = [
        call(2, paths[0].encode(), os.O_CREAT | os.O_WRONLY, 0o600),
        call(85, paths[1].encode(), 0o600),
        call(437, -100, paths[2].encode(), how, 24),
    ]
    for fd in opened:
        os.close(fd)
    return paths


def tasks_woken() -> dict[str, Any]:
    """503 sleeps of 0.1 ms, as "ks-waits": it is woken and waits for a CPU after each."""
    _take_name("ks-waits")
    for _ in range(503):
        time.sleep(0.0001)
    return {}


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


def connections() -> dict[str, Any]:
    """17 connections of known bytes over IPv4 and IPv6, and 3 refused ones."""
    made = []
    for number in range(17):
        family = (socket.AF_INET, socket.AF_INET6)[number % 2]
        made.append(_converse(family, sent=1009 * number, received=53 * number))
    refused = []
    for _ in range(3):
        with socket.socket() as vacant:
            vacant.bind((LOOPBACK[socket.AF_INET], 0))
            port = vacant.getsockname()[1]
        with socket.socket() as client, contextlib.suppress(ConnectionRefusedError):
            client.connect((LOOPBACK[socket.AF_INET], port))
        refused.append(port)
    return {"made": made, "refused": refused}


def _converse(family: socket.AddressFamily, sent: int, received: int) -> dict[str, Any]:
    with socket.socket(family) as server:
        server.bind((LOOPBACK[family], 0))
        server.listen()
        answer = threading.Thread(target=_answer, args=(server, sent, received))
        answer.start()
        with socket.create_connection(server.getsockname()[:2]) as client:
            local, remote = client.getsockname()[1], client.getpeername()[1]
            client.sendall(b"x" * sent)
            _receive(client, received)
        answer.join()
    address = LOOPBACK[family]
    return {"address": address, "ports": [local, remote], "sent": sent, "received": received}


def _answer(server: socket.socket, expected: int, size: int) -> None:
    accepted, _ = server.accept()
    with accepted:
        _receive(accepted, expected)
        accepted.sendall(b"y" * size)


def _receive(sock: socket.socket, size: int) -> None:
    while size:
        size -= len(sock.recv(size))


def busy_process() -> dict[str, Any]:
    """Compute until 197/99 s of CPU time are spent: 197 samples at 99 Hz."""
    begun = time.process_time()
    while (spent := time.process_time() - begun) < 197 / 99:
        sum(range(1000))
    return {"cpu_s": spent}


# --- running them --------------------------------------------------------------------------------


class Load:
    """A load's process, which waits for `go`."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process
        self.pid = process.pid

    def go(self) -> dict[str, Any]:
        """Run the load and return its facts; the process then waits again."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write("go\n")
        self.process.stdin.flush()
        facts: dict[str, Any] = json.loads(self.process.stdout.readline())
        self.settle()
        return facts

    def settle(self) -> None:
        """Wait until the process waits for the next word, and so does nothing."""
        while Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()[0] != "S":
            time.sleep(0.001)


def command(name: str, *arguments: str) -> list[str]:
    """Return the command that runs a load in a process of its own."""
    return [sys.executable, "-I", __file__, name, *arguments]


@contextlib.contextmanager
def started(name: str, *arguments: str) -> Iterator[Load]:
    """Start a load's process and wait until it is ready to `go`."""
    with subprocess.Popen(
        command(name, *arguments), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        load = Load(process)
        load.settle()
        yield load


def main() -> None:
    """Run the load that the command line names: when told to, and then wait for the end."""
    print("ready", flush=True)
    sys.stdin.readline()
    facts = globals()[sys.argv[1]](*sys.argv[2:])
    print(json.dumps(facts), flush=True)
    sys.stdin.readline()


if __name__ == "__main__":
    main()
