"""The load that script/record-demo traces: a little of everything, for SECONDS.

It starts when it reads a line, so that its own start is not recorded.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import socket
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

FILES = ("/etc/hostname", "/etc/passwd", "/etc/shadow", "/etc/no-such-file", "/proc/loadavg")
PROGRAMS = (["/bin/true"], ["/bin/ls", "/usr"], ["/bin/date", "-u"], ["/bin/no-such-program"])


def open_files() -> None:
    """Open existing files, one that does not exist, and one that only root may read."""
    for name in FILES:
        with contextlib.suppress(OSError), Path(name).open("rb") as file:
            file.read()


def start_programs() -> None:
    """Start programs, one of which does not exist."""
    for command in PROGRAMS:
        with contextlib.suppress(OSError):
            subprocess.run(command, stdout=subprocess.DEVNULL, check=False)


def connect(times: int) -> None:
    """Connect to an own server on the loopback and send some bytes each way."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            for _ in range(times):
                connection, _address = server.accept()
                with connection:
                    connection.sendall(connection.recv(4096) * 10)

        serving = threading.Thread(target=serve)
        serving.start()
        for number in range(times):
            with socket.create_connection(server.getsockname()) as client:
                client.sendall(b"x" * (100 * (number + 1)))
                while client.recv(65536):
                    pass
        serving.join()


def compute() -> None:
    """Keep a CPU busy for a while."""
    for number in range(400):
        hashlib.sha256(os.urandom(1 << 12) * (number % 7 + 1)).hexdigest()


def write_to_disk() -> None:
    """Write a file and fsync it."""
    with tempfile.TemporaryFile() as file:
        for number in range(8):
            file.write(os.urandom(4096 << number % 5))
            file.flush()
            os.fsync(file.fileno())


def main() -> None:
    """Wait for a line, then repeat everything for the given number of seconds."""
    sys.stdin.readline()
    end = time.monotonic() + float(sys.argv[1])
    threads = []
    while time.monotonic() < end:
        threads = [threading.Thread(target=work) for work in (compute, write_to_disk)]
        for thread in threads:
            thread.start()
        open_files()
        start_programs()
        connect(3)
        for thread in threads:
            thread.join()
        time.sleep(0.1)


if __name__ == "__main__":
    main()
