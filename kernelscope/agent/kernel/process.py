"""The agent's own process: its mounts, its end, its limits, its peer."""

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

from kernelscope.agent.kernel import mounts, syscalls

TRACEFS = Path("/sys/kernel/tracing")
DEBUGFS_TRACEFS = Path("/sys/kernel/debug/tracing")
_CLEAN_ENVIRONMENT = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LANG": "C.UTF-8"}


def private_tracefs() -> Path | None:
    """Return where tracefs is, mounted for this process alone if it was not; None if impossible."""
    private = False
    with suppress(OSError):
        mounts.unshare_mounts()
        private = True
    for path in (TRACEFS, DEBUGFS_TRACEFS):
        if os.path.isdir(path / "events"):  # noqa: PTH112 - Path.is_dir raises PermissionError
            return path
    if private:  # only in a private mount namespace: other processes must not see it mounted
        with suppress(OSError):
            mounts.mount("tracefs", str(TRACEFS), "tracefs")
            return TRACEFS
    return None


def die_with_parent(parent: int) -> None:
    """Have the kernel kill this process when `parent` dies; end at once if it has already died."""
    syscalls.prctl_die_with_parent()
    if os.getppid() != parent:
        os._exit(1)


class Ended(BaseException):
    """The server has ended, or wants this process to end; raised wherever the process is."""


def end_at_signal(parent: int) -> None:
    """From now on raise Ended where the end of `parent` would have killed this process.

    Killed while it detaches, it would leave breakpoints behind (see attach.detach).
    """
    signal.signal(signal.SIGTERM, _end)
    syscalls.prctl_die_with_parent(signal.SIGTERM)
    if os.getppid() != parent:
        raise Ended


def _end(*_: object) -> NoReturn:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)  # once is enough: the rest is cleanup
    raise Ended


@contextmanager
def end_deferred() -> Iterator[None]:
    """Defer Ended until the block is done."""
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM})


def caller() -> int:
    """Return the id of the user who started this process, through sudo or not."""
    name = os.environ.get("SUDO_UID", "")
    return int(name) if os.getuid() == 0 and name.isdecimal() else os.getuid()


def isolate() -> None:
    """Reset what the caller could change: variables, directory, umask, limits, signals."""
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
    """Return a pidfd of the process that created `sock`, None if the kernel has none."""
    pid = struct.unpack("iII", sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))[0]
    if pid <= 0 or pid == os.getpid():
        return None
    with suppress(OSError, AttributeError):
        return os.pidfd_open(pid)
    return None
