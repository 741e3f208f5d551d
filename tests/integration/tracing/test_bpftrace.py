"""Real bpftrace under a known load: its tables, its errors, and that nothing of it stays."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import pandas as pd
import pytest
from IPython.core.interactiveshell import InteractiveShell

from kernelscope.errors import AttachError, CompileError, ParameterError
from kernelscope.tracing import bpftrace
from workloads.probes import Load, started

T = TypeVar("T")
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
    assert "bpftrace" not in {comm(pid) for pid in processes_below(os.getpid())}


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
def test_an_error_has_the_line_of_the_script(
    script: str, error: type[Exception], said: str, line: int
) -> None:
    with pytest.raises(error, match=said) as caught:
        bpftrace.run(script, duration=1)

    assert caught.value.details["line"] == line  # type: ignore[attr-defined]


def test_a_script_that_can_attach_nothing_is_an_error() -> None:
    with pytest.raises((AttachError, CompileError)):
        bpftrace.run("uprobe:/bin/true:nosuch { @ = 1 }", duration=1)


def test_a_probe_that_cannot_be_attached_among_good_ones_is_an_error() -> None:
    script = "BEGIN { @x = 1 } kprobe:no_such_function_here { @ = count(); }"
    with pytest.raises((AttachError, CompileError), match="no_such_function_here"):
        bpftrace.run(script, duration=2)


def test_a_map_that_is_printed_each_second_has_every_reading() -> None:
    script = (
        "interval:ms:250 { @c = count(); print(@c); clear(@c); @n++; if (@n == 5) { exit(); } }"
    )
    readings = bpftrace.run(script, duration=30, table="c")

    assert isinstance(readings, pd.DataFrame)
    assert readings["value"].tolist()[:5] == [1] * 5
    assert readings["time"].is_monotonic_increasing


def test_text_and_values_arrive_as_they_were_printed() -> None:
    script = 'BEGIN { printf("%s %d %x\\n", "é,ü", 1, 17); exit(); }'
    found = bpftrace.run(script, duration=10)

    assert isinstance(found, pd.DataFrame)
    assert found.iloc[0].tolist() == ["é,ü", 1, 17]


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM], ids=["SIGKILL", "SIGTERM"])
def test_bpftrace_ends_with_its_client(number: int, tmp_path: Path) -> None:
    mark = f"kernelscope_{tmp_path.name}"
    script = f"BEGIN {{ @{mark} = 1 }} interval:s:1 {{ @n = count(); }}"
    code = f"from kernelscope.tracing import bpftrace; bpftrace.run({script!r}, duration=600)"
    client = subprocess.Popen([sys.executable, "-c", code])
    try:
        below = until(lambda: {n for n in processes_below(client.pid) if comm(n) == "bpftrace"})
        client.send_signal(number)
        client.wait(10)
        until(lambda: not any(comm(n) == "bpftrace" for n in below))
    finally:
        client.kill()
        client.wait()


def until(found: Callable[[], T], timeout_s: float = 60) -> T:
    deadline = time.monotonic() + timeout_s
    while not (value := found()):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    return value


def processes_below(pid: int) -> set[int]:
    """Return the ids of a process's descendants."""
    found: set[int] = set()
    for task in Path(f"/proc/{pid}/task").glob("*/children"):
        with contextlib.suppress(OSError):
            for child in map(int, task.read_text().split()):
                found |= {child, *processes_below(child)}
    return found


def comm(pid: int) -> str:
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/comm").read_text().strip()
    return ""


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
