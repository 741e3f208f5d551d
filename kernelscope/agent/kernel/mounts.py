"""Private mounts of the agent's processes: tracefs, files over files, a tmpfs that nobody sees."""

from __future__ import annotations

import ctypes
import os
import re
from pathlib import Path

from kernelscope.agent.kernel.syscalls import address, call, check, libc

MS_BIND = 4096
_MS_REC = 16384
_MS_SLAVE = 1 << 19
_CLONE_NEWNS = 0x20000
_FSOPEN, _FSCONFIG, _FSMOUNT = 430, 431, 432  # the same on every machine


def unshare_mounts() -> None:
    """Give this process private mounts; mounts of other processes still arrive here."""
    check(libc.unshare(_CLONE_NEWNS))
    try:
        mount("none", "/", None, _MS_REC | _MS_SLAVE)
    except OSError:  # in a chroot "/" need not be a mount point
        for point in _mount_points():
            mount("none", point, None, _MS_SLAVE)


def _mount_points() -> list[str]:
    """Return every mount point that this process sees (proc_pid_mountinfo(5))."""
    text = Path("/proc/self/mountinfo").read_text(encoding="utf-8", errors="surrogateescape")
    escaped = (line.split()[4] for line in text.splitlines())
    return [re.sub(r"\\([0-7]{3})", lambda found: chr(int(found[1], 8)), p) for p in escaped]


def mount(source: str, target: str, fstype: str | None, flags: int = 0) -> None:
    """Call mount(2)."""
    kind = None if fstype is None else fstype.encode()
    arguments = (os.fsencode(source), os.fsencode(target), kind, ctypes.c_ulong(flags), None)
    check(libc.mount(*arguments))


def private_tmpfs() -> int:
    """Return an fd of an empty tmpfs mounted nowhere; it ends with the fd (since Linux 5.2)."""
    context = call(_FSOPEN, address(b"tmpfs\0"), 1)  # FSOPEN_CLOEXEC
    try:
        call(_FSCONFIG, context, 6, 0, 0, 0)  # FSCONFIG_CMD_CREATE
        return call(_FSMOUNT, context, 1, 0)  # FSMOUNT_CLOEXEC
    finally:
        os.close(context)
