"""What the agent asks of the operating system for itself: its own mounts, its end, its peer."""

from __future__ import annotations

import os
import resource
import signal
import socket
import struct
from contextlib import suppress
from pathlib import Path

from kernelscope.agent import kernel

TRACEFS = Path("/sys/kernel/tracing")
DEBUGFS_TRACEFS = Path("/sys/kernel/debug/tracing")
_CLEAN_ENVIRONMENT = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LANG": "C.UTF-8"}


def private_tracefs() -> Path | None:
    """Return where tracefs is, mounting it for this process alone if nobody has; else None."""
    private = False
    with suppress(OSError):
        kernel.unshare_mounts()
        private = True
    for path in (TRACEFS, DEBUGFS_TRACEFS):
        if os.path.isdir(path / "events"):  # noqa: PTH112 - Path.is_dir raises PermissionError
            return path
    if private:  # never outside a namespace of our own: others must not find it mounted
        with suppress(OSError):
            kernel.mount("tracefs", str(TRACEFS), "tracefs")
            return TRACEFS
    return None


def die_with_parent(parent: int) -> None:
    """Have the kernel kill this process when `parent` dies; end at once if it is dead already."""
    kernel.prctl_die_with_parent()
    if os.getppid() != parent:
        os._exit(1)


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
