"""Runs are counted for an agent, or for a user whichever of their agents has them."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from kernelscope.agent.server import run_slots
from kernelscope.errors import AgentRefusedError


class Holder:
    """A process that takes a slot and keeps it until it is ended."""

    def __init__(self, open_file: Callable[[], int], most: int) -> None:
        read, write = os.pipe()
        self.pid = os.fork()
        if self.pid == 0:
            try:
                run_slots.take(open_file(), most, "the")
                os.write(write, b"taken")
            except AgentRefusedError:
                os.write(write, b"refused")
            os.read(read, 0)
            os.kill(os.getpid(), 19)
        self.answer = os.read(read, 7).decode()
        os.close(read)
        os.close(write)

    def end(self) -> None:
        os.kill(self.pid, 9)
        os.waitpid(self.pid, 0)


def test_slots_are_free_again_when_their_process_ends(tmp_path: Path) -> None:
    folder = tmp_path / "slots"
    holders = [Holder(lambda: run_slots.of_user(7, folder), 3) for _ in range(4)]
    other = Holder(lambda: run_slots.of_user(8, folder), 3)
    assert [holder.answer for holder in holders] == ["taken", "taken", "taken", "refused"]
    assert other.answer == "taken"
    holders.pop(1).end()
    holders.append(Holder(lambda: run_slots.of_user(7, folder), 3))
    assert holders[-1].answer == "taken"
    for holder in [*holders, other]:
        holder.end()


def test_slots_of_an_agent_are_shared_by_its_children() -> None:
    file = run_slots.of_agent()
    holders = [Holder(lambda: file, 2) for _ in range(3)]
    assert [holder.answer for holder in holders] == ["taken", "taken", "refused"]
    for holder in holders:
        holder.end()
    os.close(file)


def test_folder_writable_by_others_is_refused(tmp_path: Path) -> None:
    folder = tmp_path / "slots"
    folder.mkdir()
    folder.chmod(0o777)
    with pytest.raises(AgentRefusedError, match="others can write it"):
        run_slots.of_user(7, folder)
