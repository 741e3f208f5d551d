"""Run as a script: opens recordings where the interpreter is as on another system.

Usage: elsewhere.py FILE... It takes away what only Linux (or only a Unix) has, says that this is
Windows, opens each recording and prints its tables' digests.
"""

from __future__ import annotations

import errno
import hashlib
import importlib.abc
import os
import select
import signal
import socket
import sys
import tempfile
from pathlib import Path

import matplotlib.figure  # noqa: F401 - these ask for the platform when they are imported
import pandas as pd
import pyarrow.csv
import pyarrow.ipc
import pyarrow.json
import pyarrow.parquet  # noqa: F401

GONE = {"resource", "fcntl", "termios", "tty", "pty", "pwd", "grp", "syslog", "bcc"}
_OF_UNIX = {
    os: (
        "geteuid getuid getgid getegid sysconf memfd_create fork killpg setsid pread pwrite"
        " O_NOFOLLOW O_NONBLOCK O_CLOEXEC O_NOCTTY sched_getaffinity uname eventfd"
    ),
    socket: "AF_UNIX SCM_RIGHTS socketpair send_fds recv_fds CMSG_SPACE CMSG_LEN MSG_DONTWAIT",
    signal: "SIGKILL SIGHUP SIGCHLD pthread_sigmask setitimer SIGALRM",
    select: "poll epoll",
}


class _Refusing(importlib.abc.MetaPathFinder):
    def find_spec(self, name: str, *_: object) -> None:
        if name in GONE:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)


def pretend() -> None:
    """Be as on Windows, as far as can be."""
    for name in GONE:
        sys.modules.pop(name, None)
    sys.meta_path.insert(0, _Refusing())
    for module, names in _OF_UNIX.items():
        for name in names.split():
            if hasattr(module, name):
                delattr(module, name)
    signal.Signals = None  # type: ignore[misc,assignment]
    errno.errorcode = {}  # type: ignore[misc]
    sys.platform = "win32"


def digest(table: pd.DataFrame, *, attrs: bool = True) -> str:
    """Return the digest of a table's bytes: columns, types, values, and its receipt."""
    from kernelscope.io import tabular
    from kernelscope.io.read import read

    shown = table.copy(deep=False)
    shown.attrs = table.attrs if attrs else {}
    folder = Path(tempfile.mkdtemp())
    written = tabular.to_arrow(shown, folder / "table.arrow")
    try:
        pd.testing.assert_frame_equal(read(written), table)
        return hashlib.sha256(written.read_bytes()).hexdigest()
    finally:  # not shutil.rmtree, which needs a Unix where it was imported on one
        written.unlink()
        folder.rmdir()


def digests(path: str) -> list[str]:
    """Return each table of a recording: its name and its digest."""
    import kernelscope
    from kernelscope.tables import results

    found = results.by_name(kernelscope.open(path))
    return [f"{name} {digest(table)}" for name, table in found.items()]


if __name__ == "__main__":
    pretend()
    for each in sys.argv[1:]:
        print(Path(each).stem, *digests(each))
