"""How many runs one user has on this machine: a locked file for each, whichever agent has it.

A policy limits a user, who may start any number of agents. The lock is the run's own: it ends with
the run's process, however that ends.
"""

from __future__ import annotations

import fcntl
import os
from contextlib import suppress
from pathlib import Path

from kernelscope.errors import AgentRefusedError

FOLDER = Path("/run/kernelscope")


def take(uid: int, most: int, folder: Path = FOLDER) -> int:
    """Lock one of the user's slots and return its fd, which must stay open.

    Raises AgentRefusedError if all are taken, or if the folder is not root's alone.
    """
    own = folder / f"runs-{uid}"
    _make(folder)
    _make(own)
    for number in range(most):
        fd = os.open(
            own / str(number), os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600
        )
        with suppress(BlockingIOError):
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return fd
        os.close(fd)
    raise AgentRefusedError(
        f"user {uid} has {most} runs on this machine, which is the policy's limit",
        hint="stop one of them first",
        field="max_runs",
    )


def _make(folder: Path) -> None:
    with suppress(FileExistsError):
        folder.mkdir(mode=0o700)
    status = folder.lstat()
    if status.st_uid != os.geteuid() or status.st_mode & 0o022 or not folder.is_dir():
        raise AgentRefusedError(
            f"{folder} cannot be used to count runs: others can write it",
            hint="remove it; the agent creates it again",
            field="max_runs",
        )
