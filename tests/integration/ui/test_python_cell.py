"""%%probe on a real kernel: what a cell does is counted exactly, and nothing else."""

from __future__ import annotations

import os
import resource
import signal
import sys
import sysconfig
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from IPython.core.interactiveshell import InteractiveShell

from kernelscope.errors import ParameterError
from kernelscope.protocol.cell_names import CELL_BEGINS, CELL_ENDS
from kernelscope.tracing.session import Session
from kernelscope.ui.notebook import python_cell as cell
from kernelscope.ui.notebook.python_cell import CellResults

pytestmark = pytest.mark.kernel


@pytest.fixture
def noise() -> Iterator[None]:
    """Another thread of the same process, which was there before and calls all the time."""
    over = threading.Event()

    def call() -> None:
        while not over.wait(0.001):
            for _ in range(10):
                os.getppid()
                os.pread(zero, 1, 0)

    zero = os.open("/dev/zero", os.O_RDONLY)
    thread = threading.Thread(target=call)
    thread.start()
    yield
    over.set()
    thread.join()
    os.close(zero)


def probed(shell: InteractiveShell, line: str, text: str) -> CellResults:
    result = shell.run_cell_magic("probe", line, text)
    assert isinstance(result, CellResults)
    return result


def count(calls: pd.DataFrame, syscall: str) -> int:
    return int(calls.loc[calls["syscall"] == syscall, "count"].sum())


def attached(session: Session) -> list[str]:
    """The agent's children, each of which holds a run; a moment is given to those that end."""
    path = Path(f"/proc/{session.agent.pid}/task/{session.agent.pid}/children")
    deadline = time.monotonic() + 5
    while path.read_text().split() and time.monotonic() < deadline:
        time.sleep(0.01)
    return path.read_text().split()


WORK = f"""
import os, subprocess, threading, time

zero = os.open("/dev/zero", os.O_RDONLY)
for _ in range(211):
    os.pread(zero, 1, 0)
for _ in range(7):
    time.sleep(0.01)

def calls(n):
    for _ in range(n):
        os.getppid()

threads = [threading.Thread(target=calls, args=(101,)) for _ in range(3)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
child = "import os, subprocess, sys\\nfor _ in range(307): os.getppid()\\n"
run = "subprocess.run([sys.executable, '-S', '-c', 'import os; [os.getppid() for _ in range(53)]'])"
subprocess.run([{sys.executable!r}, "-S", "-c", child + run])
os.close(zero)
6 * 7
"""


def test_what_a_cell_does_is_counted_exactly(shell: InteractiveShell, noise: None) -> None:
    result = probed(shell, "syscount offcputime -o r", WORK)

    assert result.value == 42
    assert shell.user_ns["r"] is result
    calls = result["syscount.calls"]
    own = calls[calls["pid"] == os.getpid()]
    assert count(own, "pread64") == 211
    assert count(own, "clock_nanosleep") == 7
    assert count(own, "getppid") == 3 * 101
    others = calls[(calls["syscall"] == "getppid") & (calls["pid"] != os.getpid())]
    assert sorted(others["count"]) == [53, 307]
    assert count(calls, "prctl") == 0  # what tells the agent of the cell is not the cell's
    waits = result["offcputime"]
    slept = waits[waits["kernel_stack"].astype(str).str.contains("nanosleep")]
    assert slept["count"].sum() == 7
    assert 70_000 <= slept["total_us"].sum() <= result.spent.wall_s * 1e6


def test_an_empty_cell_makes_no_system_call(shell: InteractiveShell) -> None:
    result = probed(shell, "syscount", "pass")

    assert result.value is None
    assert result["syscount.calls"]["count"].sum() == 0


@pytest.fixture
def faults_of_the_cell(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The kernel's own count of this thread's minor faults, as the cell begins and as it ends."""
    seen: list[int] = []
    rename = cell._rename

    def look() -> None:
        seen.append(resource.getrusage(resource.RUSAGE_THREAD).ru_minflt)

    def renamed(name: bytes) -> None:
        if name == CELL_ENDS.encode():
            look()
        rename(name)
        if name != CELL_BEGINS.encode() and not seen:
            look()

    monkeypatch.setattr(cell, "_rename", renamed)
    return seen


@pytest.mark.parametrize("line", ["pagefaults", "syscount offcputime pagefaults profile"])
def test_page_faults_are_those_of_the_cells_thread_to_the_last(
    shell: InteractiveShell, line: str, faults_of_the_cell: list[int]
) -> None:
    text = """
import mmap
pages = mmap.mmap(-1, 1009 * 4096)
pages.madvise(mmap.MADV_NOHUGEPAGE)
for page in range(1009):
    pages[page * 4096] = 1
[bytes(5000) for _ in range(2003)]
pages.close()
"""
    result = probed(shell, line, text)

    before, after = faults_of_the_cell
    faults = result["pagefaults"]
    minor = faults[(faults["kind"] == "minor") & (faults["pid"] == os.getpid())]
    assert after - before >= 1009
    assert minor["count"].sum() == after - before


def test_what_children_allocate_is_counted_exactly(shell: InteractiveShell) -> None:
    child = (
        "import ctypes, os; malloc = ctypes.CDLL(None).malloc; malloc.restype = ctypes.c_void_p; "
        "[malloc(1_000_003) for _ in range(307)]; os._exit(0)"
    )
    text = f"""
import subprocess
running = subprocess.Popen([{sys.executable!r}, "-S", "-c", {child!r}])
running.wait()
running.pid
"""
    result = probed(shell, "mallocdist", text)

    sizes = result["mallocdist.sizes"]
    large = sizes[(sizes["pid"] == result.value) & (sizes["size_low_bytes"] <= 1_000_003)]
    assert large[large["size_high_bytes"] > 1_000_003]["count"].sum() == 307
    assert "malloc" in result.summary["Allocations"]


def test_a_probe_of_no_task_sees_the_whole_machine_and_says_so(shell: InteractiveShell) -> None:
    result = probed(shell, "syscount biolatency", "import os; os.getppid()")

    said = repr(result)
    assert "Disk requests" in said
    assert said.count("(whole machine)") == 1
    assert "getppid 1" in said
    assert "tree" in result["syscount"].receipt["filters"]  # type: ignore[union-attr]


def test_without_a_name_there_is_a_line_for_each_question(shell: InteractiveShell) -> None:
    result = probed(shell, "", "sum(range(100_000))")

    assert {"syscount", "offcputime", "profile"} <= set(result)
    assert {"Wall time", "CPU time", "System calls", "Off the CPU", "Value"} <= set(result.summary)
    assert result.summary["Value"] == "4999950000"
    assert "4999950000" in result._repr_html_()


def test_what_a_cell_raises_comes_after_the_probes_ended(
    shell: InteractiveShell, session: Session
) -> None:
    with pytest.raises(ZeroDivisionError) as raised:
        probed(shell, "syscount -o r", "import os\nfor _ in range(17): os.getppid()\n1 / 0")

    result = shell.user_ns["r"]
    assert result.error is raised.value
    assert count(result["syscount.calls"], "getppid") == 17
    assert result.summary["Raised"] == "ZeroDivisionError"
    assert attached(session) == []


def test_ctrl_c_ends_the_cell_and_then_the_probes(
    shell: InteractiveShell, session: Session
) -> None:
    shell.user_ns["interrupt"] = threading.Timer(0.3, os.kill, (os.getpid(), signal.SIGINT))
    cell = "import os, time\nfor _ in range(17): os.getppid()\ninterrupt.start()\ntime.sleep(60)"

    with pytest.raises(KeyboardInterrupt):
        probed(shell, "syscount -o r", cell)

    assert count(shell.user_ns["r"]["syscount.calls"], "getppid") == 17
    assert attached(session) == []


def test_a_cell_that_is_no_python_attaches_nothing(shell: InteractiveShell) -> None:
    with pytest.raises(SyntaxError):
        probed(shell, "syscount -o none", "this is no python")

    assert "none" not in shell.user_ns


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("syscount -d 5", "--duration cannot be combined with %%probe"),
        ("syscount --bg", "--bg cannot be combined with %%probe"),
        ("syscount --tree 1", "--tree cannot be combined with %%probe"),
        ("tcplife", "cannot tell a cell's threads apart"),
    ],
)
def test_what_does_not_go_with_a_cell_is_refused(
    shell: InteractiveShell, line: str, message: str
) -> None:
    shell.user_ns["ran"] = False
    with pytest.raises(ParameterError, match=message):
        probed(shell, line, "ran = True")
    assert shell.user_ns["ran"] is False


def test_the_cells_names_are_the_notebooks_own(shell: InteractiveShell) -> None:
    probed(shell, "syscount", "def made_here(n):\n    return n + 1\nseen = made_here(1)")

    names: dict[str, Any] = shell.user_ns
    assert names["seen"] == 2
    assert Path("/proc/thread-self/comm").read_text() == Path("/proc/self/comm").read_text()


def test_pythons_functions_have_names_in_stacks_where_it_can_give_them(
    shell: InteractiveShell,
) -> None:
    cell = """
import time
def burning():
    until = time.thread_time() + 0.7
    while time.thread_time() < until:
        pass
burning()
"""
    flags = str(sysconfig.get_config_var("PY_CORE_CFLAGS"))
    frame_pointers = "-fno-omit-frame-pointer" in flags
    result = probed(shell, "profile", cell)

    stacks = result["profile"]["user_stack"].astype(str)
    assert len(stacks)
    named = stacks.str.contains("burning").any()
    assert named == (sys.version_info >= (3, 12) and frame_pointers)
