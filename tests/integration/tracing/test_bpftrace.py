"""Real bpftrace under a known load: its tables, its errors, and that nothing of it stays."""

from __future__ import annotations

import contextlib
import os
import shutil
import threading
from pathlib import Path
from typing import Any

import pytest
from IPython.core.interactiveshell import InteractiveShell

from kernelscope.errors import AttachError, CompileError, ParameterError
from kernelscope.tracing import bpftrace
from workloads.probes import Load, started

pytestmark = [
    pytest.mark.kernel,
    pytest.mark.skipif(shutil.which("bpftrace") is None, reason="bpftrace is not installed"),
]
# The script ends itself when the load has: 107 closes of the descriptor 9999 are its last sign.
SCRIPT = """
tracepoint:syscalls:sys_enter_getppid /pid == LOAD/ { @calls[comm, pid] = count(); }
tracepoint:syscalls:sys_enter_close /pid == LOAD && (int32)args->fd == 9999/ {
    @n++;
    if (@n == 107) { exit(); }
    printf("pid=%d %s\\n", pid, comm);
}
"""


def test_its_maps_and_lines_are_tables_with_a_receipt() -> None:
    with started("system_calls") as load:
        found = _while(load, SCRIPT.replace("LOAD", str(load.pid)))

    calls = found["calls"]
    assert calls.loc[calls["pid"] == load.pid, "value"].tolist() == [211]
    lines = found["printf"]
    assert (lines["pid"] == load.pid).sum() >= 106  # the last line may come after exit()
    receipt = found["calls"].attrs["kernelscope"]
    assert receipt["lost"] == {}
    assert receipt["probes_attached"] == 2
    assert "bpftrace" not in names_below(os.getpid())


def names_below(pid: int) -> set[str]:
    """Return the names of a process's descendants, of whichever of its threads."""
    found = set()
    for task in Path(f"/proc/{pid}/task").glob("*/children"):
        with contextlib.suppress(OSError):
            for child in task.read_text().split():
                found |= {Path(f"/proc/{child}/comm").read_text().strip(), *names_below(int(child))}
    return found


class Attached:
    """A progress display that reports when all probes are attached."""

    def __init__(self) -> None:
        self.told = threading.Event()

    def update(self, elapsed_s: float, *_: object, **__: object) -> None:
        if elapsed_s:
            self.told.set()

    def clear(self, *_: object) -> None:
        self.told.set()


def _while(load: Load, script: str) -> Any:
    """Run the load once bpftrace is attached."""
    attached = Attached()

    def go() -> None:
        attached.told.wait(60)
        load.go()

    thread = threading.Thread(target=go)
    thread.start()
    try:
        return bpftrace.run(script, duration=30, progress=attached)
    finally:
        thread.join()


@pytest.mark.parametrize(
    ("script", "error", "said", "line"),
    [
        ("BEGIN { @x = nosuch(); }", CompileError, "Unknown function", 1),
        ("BEGIN {\n  @x = \n}", CompileError, "syntax error", 3),
        ("tracepoint:syscalls:sys_enter_nosuch { @ = 1 }", CompileError, "not found", 1),
    ],
)
def test_an_error_stands_at_the_scripts_own_line(
    script: str, error: type[Exception], said: str, line: int
) -> None:
    with pytest.raises(error, match=said) as caught:
        bpftrace.run(script, duration=1)

    assert caught.value.details["line"] == line  # type: ignore[attr-defined]


def test_a_script_that_can_attach_nothing_is_an_error() -> None:
    with pytest.raises((AttachError, CompileError)):
        bpftrace.run("uprobe:/bin/true:nosuch { @ = 1 }", duration=1)


def test_it_needs_a_script_and_an_end() -> None:
    with pytest.raises(ParameterError, match="no script"):
        bpftrace.run("  ")
    with pytest.raises(ParameterError, match="needs an end"):
        bpftrace.run("BEGIN {}", duration="inf")


def test_a_cell_of_it_binds_its_tables_and_refuses_what_does_not_go_with_it() -> None:
    InteractiveShell.clear_instance()
    shell = InteractiveShell.instance()
    try:
        shell.run_cell("%load_ext kernelscope").raise_error()
        cell = 'BEGIN { @answer[comm] = 42; printf("x=%d\\n", 7); exit(); }'
        shell.run_cell(f"%%bpftrace -d 5 -o found --quiet\n{cell}").raise_error()
        found = shell.user_ns["found"]
        assert found["answer"]["value"].tolist() == [42]
        assert found["printf"]["x"].tolist() == [7]
        shell.run_cell(f"%%bpftrace --table answer -o one --quiet\n{cell}").raise_error()
        assert shell.user_ns["one"]["comm"].tolist() == ["bpftrace"]
        refused = shell.run_cell(f"%%bpftrace --comm x\n{cell}").error_in_exec
        assert isinstance(refused, ParameterError)
        assert "no option --comm" in str(refused)
    finally:
        InteractiveShell.clear_instance()
