"""A policy's number of runs counts for a user, whichever of their agents has them."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from kernelscope.agent.server import run_slots
from kernelscope.errors import AgentRefusedError


def test_slots_of_a_user_are_taken_once_and_free_again(tmp_path: Path) -> None:
    folder = tmp_path / "slots"
    taken = [run_slots.take(7, 3, folder) for _ in range(3)]
    with pytest.raises(AgentRefusedError, match="user 7 has 3 runs on this machine"):
        run_slots.take(7, 3, folder)
    os.close(run_slots.take(8, 3, folder))  # another user is not affected
    os.close(taken.pop())
    taken.append(run_slots.take(7, 3, folder))
    for fd in taken:
        os.close(fd)


def test_a_slot_ends_with_its_process(tmp_path: Path) -> None:
    folder = tmp_path / "slots"
    pid = os.fork()
    if pid == 0:
        run_slots.take(7, 1, folder)
        os._exit(0)
    os.waitpid(pid, 0)
    os.close(run_slots.take(7, 1, folder))


def test_a_folder_that_others_can_write_is_refused(tmp_path: Path) -> None:
    folder = tmp_path / "slots"
    folder.mkdir()
    folder.chmod(0o777)
    with pytest.raises(AgentRefusedError, match="others can write it"):
        run_slots.take(7, 1, folder)
