"""kill -9 of the agent, of a run's process and of the notebook, at random moments.

Each time: within a second nothing stays attached (a program keeps its maps, and the cell's map has
a name that nothing else on the machine has), no process of ours is left, no temporary file; the
notebook's error says what happened, and its next cell works.
"""

from __future__ import annotations

import itertools
import random
import time
from collections.abc import Iterator
from pathlib import Path
from queue import Empty

import pytest
from integration.support.notebook_kernel import (
    Notebook,
    alive,
    becomes,
    children,
    files,
    kill,
    maps,
)

pytestmark = pytest.mark.kernel

MOMENTS = 10
WITHIN_S = 1.0
_numbers = itertools.count(1)
_random = random.Random(7919)  # the moments are random, and the same each time


class Cell:
    """A cell that traces for 30 seconds; its map's name is like no other."""

    def __init__(self) -> None:
        self.table = f"k{time.time_ns() % 10**7}_{next(_numbers)}"
        self.code = f"""%%ebpf -d 30
BPF_HASH({self.table}, u32);
TRACEPOINT_PROBE(syscalls, sys_enter_read) {{
    u32 pid = bpf_get_current_pid_tgid() >> 32;
    {self.table}.increment(pid);
    return 0;
}}"""

    @property
    def attached(self) -> bool:
        """Whether the kernel holds this cell's map."""
        return self.table in maps()


def moments(longest_s: float) -> list[float]:
    return [_random.uniform(0.0, longest_s) for _ in range(MOMENTS)]


@pytest.fixture(scope="module")
def notebook(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Notebook]:
    made = Notebook(tmp_path_factory.mktemp("notebook"))
    yield made
    made.close()


@pytest.fixture
def leaves_nothing() -> Iterator[None]:
    before = files()
    yield
    assert files() - before == set()


def next_cell_works(notebook: Notebook) -> None:
    shown = notebook.do(
        "%%ebpf -d 200ms\n"
        "BPF_HASH(next_one, u32);\n"
        "TRACEPOINT_PROBE(syscalls, sys_exit_read) { next_one.increment(1); return 0; }"
    )
    assert "value" in shown


@pytest.mark.usefixtures("leaves_nothing")
@pytest.mark.parametrize("moment", moments(0.6))
def test_agent_is_killed(notebook: Notebook, moment: float) -> None:
    agent, cell = notebook.current_agent(), Cell()
    sent = notebook.run(cell.code)
    time.sleep(moment)
    ours = [agent, *children(agent)]
    kill(agent)

    assert becomes(lambda: not any(map(alive, ours)), WITHIN_S), ours
    try:
        status, shown = notebook.answer(sent, patience_s=3.0)
    except Empty:
        served_by_another(notebook, cell, sent)
    else:
        assert status == "AgentDiedError", shown
        assert "run it again" in shown
        assert "Traceback" not in shown
        assert becomes(lambda: not cell.attached, WITHIN_S)
    assert list(notebook.scratch.iterdir()) == []
    next_cell_works(notebook)


def served_by_another(notebook: Notebook, cell: Cell, sent: str) -> None:
    """An agent killed before the request reached it is replaced, and the cell runs."""
    assert cell.attached
    notebook.interrupt()
    assert notebook.answer(sent)[0] == "ok"
    assert becomes(lambda: not cell.attached, WITHIN_S)


@pytest.mark.usefixtures("leaves_nothing")
@pytest.mark.parametrize("moment", moments(0.6))
def test_run_process_is_killed(notebook: Notebook, moment: float) -> None:
    agent, cell = notebook.current_agent(), Cell()
    ending = set(children(agent))  # the run before may still be closing what it detached
    sent = notebook.run(cell.code)
    assert becomes(lambda: bool({*children(agent)} - ending), WITHIN_S)
    time.sleep(moment)
    (run,) = {*children(agent)} - ending
    kill(run)

    assert becomes(lambda: not cell.attached and not alive(run), WITHIN_S)
    status, shown = notebook.answer(sent)

    assert status == "AgentDiedError", shown
    assert "SIGKILL" in shown
    assert "Traceback" not in shown
    assert notebook.current_agent() == agent
    assert list(notebook.scratch.iterdir()) == []
    next_cell_works(notebook)


@pytest.mark.usefixtures("leaves_nothing")
@pytest.mark.parametrize("moment", moments(0.9))
def test_notebook_is_killed(tmp_path: Path, moment: float) -> None:
    notebook, cell = Notebook(tmp_path), Cell()
    try:
        pid = notebook.pid
        notebook.run(cell.code)
        time.sleep(moment)
        ours = [notebook.agent, *children(notebook.agent)]
        kill(pid)

        assert becomes(lambda: not cell.attached and not any(map(alive, ours)), WITHIN_S), ours
        assert list(notebook.scratch.iterdir()) == []
    finally:
        notebook.close()


@pytest.mark.usefixtures("leaves_nothing")
def test_restarted_notebook_kernel_leaves_nothing_attached(tmp_path: Path) -> None:
    notebook, cell = Notebook(tmp_path), Cell()
    try:
        notebook.run(cell.code)
        assert becomes(lambda: cell.attached, 5.0)
        ours = [notebook.agent, *children(notebook.agent)]
        notebook.manager.restart_kernel(now=True)

        assert becomes(lambda: not cell.attached and not any(map(alive, ours)), WITHIN_S), ours
    finally:
        notebook.close()


@pytest.mark.parametrize("moment", moments(0.6)[:3])
def test_ctrl_c_ends_early_with_the_rows_so_far(notebook: Notebook, moment: float) -> None:
    cell = Cell()
    sent = notebook.run(cell.code + "\n")
    assert becomes(lambda: cell.attached, 5.0)
    time.sleep(0.2 + moment)
    notebook.interrupt()

    status, shown = notebook.answer(sent)

    assert status == "ok", shown
    assert "value" in shown
    assert becomes(lambda: not cell.attached, WITHIN_S)
    assert notebook.do("print(_.attrs['kernelscope']['interrupted'])").strip() == "True"


def test_simultaneous_runs_end_independently(notebook: Notebook) -> None:
    cells = [Cell() for _ in range(3)]
    for number, cell in enumerate(cells):
        line = f"%%ebpf -d 30 --bg -o run{number}"
        notebook.do(cell.code.replace("%%ebpf -d 30", line) + "\n")
    assert all(cell.attached for cell in cells)
    runs = children(notebook.current_agent())
    assert len(runs) == len(cells)

    notebook.do("run1.stop(); frame = run1.result()")
    assert becomes(lambda: not cells[1].attached, WITHIN_S)
    assert cells[0].attached
    assert cells[2].attached

    kill(children(notebook.current_agent())[0])
    assert becomes(lambda: sum(cell.attached for cell in cells) == 1, WITHIN_S)
    status, shown = notebook.answer(notebook.run("[run.result() for run in (run0, run2)]"))
    assert status == "AgentDiedError", shown
    notebook.do("run0.close(); run2.close()")
    assert becomes(lambda: not any(cell.attached for cell in cells), WITHIN_S)


def test_exception_in_a_with_block_detaches(notebook: Notebook) -> None:
    cell = Cell()
    source = cell.code.partition("\n")[2]
    code = (
        "import kernelscope\n"
        f"with kernelscope.start(source='''{source}''', duration=30) as run:\n"
        "    raise ZeroDivisionError\n"
    )

    status, _ = notebook.answer(notebook.run(code))

    assert status == "ZeroDivisionError"
    assert becomes(lambda: not cell.attached, WITHIN_S)


def test_finished_run_leaves_nothing(notebook: Notebook) -> None:
    cell = Cell()
    notebook.do(cell.code.replace("-d 30", "-d 300ms"))

    assert becomes(lambda: not cell.attached, WITHIN_S)
    assert becomes(lambda: children(notebook.current_agent()) == [], WITHIN_S)
