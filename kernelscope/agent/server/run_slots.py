"""Counts runs by locked bytes of a file: of one agent, or of one user whichever agent has them.

A lock is the run's process's own: it ends with that process, however that ends. Requests that are
not runs (hello, list, check, doctor) take none.
"""

from __future__ import annotations

import fcntl
import os
from contextlib import suppress
from pathlib import Path

from kernelscope.errors import AgentRefusedError

FOLDER = Path("/run/kernelscope")


def of_agent() -> int:
    """Return the file of one agent's runs, for `take`."""
    return os.memfd_create("kernelscope-runs")


def of_user(uid: int, folder: Path = FOLDER) -> int:
    """Return the file of a user's runs on this machine, for `take`.

    Raises AgentRefusedError if others than this user can write the folder.
    """
    with suppress(FileExistsError):
        folder.mkdir(mode=0o700)
    status = folder.lstat()
    if status.st_uid != os.geteuid() or status.st_mode & 0o022 or not folder.is_dir():
        raise AgentRefusedError(
            f"{folder} cannot be used to count runs: others can write it",
            hint="remove it; the agent creates it again",
            field="max_runs",
        )
    flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
    return os.open(folder / f"runs-{uid}", flags, 0o600)


def take(file: int, most: int, whose: str) -> None:
    """Lock one byte of `file` until this process ends. Raises AgentRefusedError if all are locked.

    No fd of that file may be closed meanwhile: that would end the lock (fcntl(2)).
    """
    for number in range(most):
        with suppress(BlockingIOError, PermissionError):
            fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, number)
            return
    raise AgentRefusedError(
        f"{most} runs are active, which is {whose} limit",
        hint="stop one of them first",
        field="max_runs",
    )
