"""What the agent asks of the operating system for itself: its own mounts, its end, its peer."""

from __future__ import annotations

import os
import resource
import signal
import socket
import struct
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NoReturn

from kernelscope.agent.kernel import syscalls

TRACEFS = Path("/sys/kernel/tracing")
DEBUGFS_TRACEFS = Path("/sys/kernel/debug/tracing")
_CLEAN_ENVIRONMENT = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LANG": "C.UTF-8"}


def private_tracefs() -> Path | None:
    """Return where tracefs is, mounting it for this process alone if nobody has; else None."""
    private = False
    with suppress(OSError):
        syscalls.unshare_mounts()
        private = True
    for path in (TRACEFS, DEBUGFS_TRACEFS):
        if os.path.isdir(path / "events"):  # noqa: PTH112 - Path.is_dir raises PermissionError
            return path
    if private:  # never outside a namespace of our own: others must not find it mounted
        with suppress(OSError):
            syscalls.mount("tracefs", str(TRACEFS), "tracefs")
            return TRACEFS
    return None


def die_with_parent(parent: int) -> None:
    """Have the kernel kill this process when `parent` dies; end at once if it is dead already."""
    syscalls.prctl_die_with_parent()
    if os.getppid() != parent:
        os._exit(1)


class Ended(BaseException):
    """The server is gone, or wants this process to end; raised wherever it happens to be."""


def end_gently(parent: int) -> None:
    """Raise Ended from now on where the end of `parent` would have killed this process.

    Killed while it detaches, it would leave things behind (see attach.detach).
    """
    signal.signal(signal.SIGTERM, _end)
    syscalls.prctl_die_with_parent(signal.SIGTERM)
    if os.getppid() != parent:
        raise Ended


def _end(*_: object) -> NoReturn:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)  # once is enough: what follows is cleaning up
    raise Ended


@contextmanager
def undisturbed() -> Iterator[None]:
    """Put Ended off until the block is done."""
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM})


def isolate() -> None:
    """Drop what the caller could change: variables, directory, umask, limits, signals."""
    os.environ.clear()
    os.environ.update(_CLEAN_ENVIRONMENT)
    os.chdir("/")
    os.umask(0o077)
    files = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (files, files))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))  # a core file would hold the kernel's secrets
    signal.pthread_sigmask(signal.SIG_SETMASK, ())
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the notebook's to handle
    signal.signal(signal.SIGPIPE, signal.SIG_IGN)


def peer_pidfd(sock: socket.socket) -> int | None:
    """Return a pidfd of the process that made `sock`, None where the kernel cannot."""
    pid = struct.unpack("iII", sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))[0]
    if pid <= 0 or pid == os.getpid():
        return None
    with suppress(OSError, AttributeError):
        return os.pidfd_open(pid)
    return None
