"""Known loads for the probes of bpf/security: privileges."""

from __future__ import annotations

import contextlib
import ctypes
import os
import shutil
import socket
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from workloads.probes.common import take_name

C = ctypes.CDLL(None, use_errno=True)
NOBODY = 65534
CLONE_NEWUSER = 0x10000000


def in_child(action: Callable[[], object]) -> int:
    """Do it in a child, which may give up its privileges for good; return the child's pid."""
    child = os.fork()
    if child == 0:
        with contextlib.suppress(OSError):
            action()
        os._exit(0)
    os.waitpid(child, 0)
    return child


def privileges_needed() -> dict[str, Any]:
    """47 chroot to /, allowed for root; 13 sethostname, not allowed for the user nobody."""
    take_name("ks-caps")
    for _ in range(47):
        os.chroot("/")
    return {"nobody": in_child(_refused_names)}


def _refused_names() -> None:
    os.setresuid(NOBODY, NOBODY, NOBODY)
    for _ in range(13):
        with contextlib.suppress(PermissionError):
            socket.sethostname("never")


def users_changed() -> dict[str, Any]:
    """17 setresuid to different real users; 5 setregid; then 7 setuid refused."""
    take_name("ks-users")
    return {"pid": in_child(_change_users)}


def _change_users() -> None:
    for number in range(17):
        os.setresuid(1000 + number, 0, -1)
    for number in range(5):
        os.setregid(2000 + number, -1)
    os.setresuid(NOBODY, NOBODY, NOBODY)
    for number in range(7):
        with contextlib.suppress(PermissionError):
            os.setuid(number)


def privileges_gained() -> dict[str, Any]:
    """13 starts of a set-user-ID program by the user nobody; 5 changes to root; 1 namespace."""
    take_name("ks-gains")
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        program = Path(shutil.copy(shutil.which("true") or "/bin/true", f"{folder}/ks-suid"))
        program.chmod(0o4755)
        started = [in_child(lambda: _start(str(program))) for _ in range(13)]
    back = in_child(_back_and_forth)
    unshared = os.waitstatus_to_exitcode(_apart())
    return {"started": started, "program": str(program), "back": back, "unshared": unshared}


def _start(program: str) -> None:
    os.setresuid(NOBODY, NOBODY, NOBODY)
    os.execv(program, [program])


def _back_and_forth() -> None:
    for _ in range(5):
        os.setresuid(-1, NOBODY, -1)
        os.setresuid(-1, 0, -1)


def _apart() -> int:
    """Unshare as the user nobody in a child; return its status, 1 if that is allowed."""
    child = os.fork()
    if child == 0:
        os.setresuid(NOBODY, NOBODY, NOBODY)
        os._exit(C.unshare(CLONE_NEWUSER) == 0)
    return os.waitpid(child, 0)[1]
