"""The summary of %%probe, and how the agent restricts a run to a tree of tasks."""

from __future__ import annotations

import os
import subprocess
import sys
import threading

import pandas as pd
import pytest
from unit.builders import requests

from kernelscope.agent.attach import task_tree
from kernelscope.agent.server.policy import Policy
from kernelscope.errors import ParameterError, RequirementError, TargetError
from kernelscope.probe import catalogue
from kernelscope.protocol.cell_names import CELL_BEGINS, CELL_ENDS
from kernelscope.protocol.program import Filters, Program
from kernelscope.tracing.plan import Placement
from kernelscope.ui.notebook import cell_summary, python_cell
from kernelscope.ui.notebook.cell_summary import Spent

SPENT = Spent(wall_s=1.5, thread_s=0.25, process_s=0.5, children_s=0.000012)


def fact(name: str, rows: dict[str, list[object]], *, scoped: bool = True, lost: int = 0) -> str:
    """Return the summary's lines for a table."""
    table = pd.DataFrame(rows)
    filters = {"tree": 1} if scoped else {}
    table.attrs["kernelscope"] = {"filters": filters, "lost": {"map_full": lost}}
    facts = cell_summary.facts(SPENT, {name: table})
    return list(facts.values())[-1]


def held(name: str = "syscount") -> Program:
    placement = Placement(group=1, cell_thread=77)
    return requests.of_probe(name, {"duration": "inf"}, placement=placement).program


def test_shows_wall_and_cpu_time() -> None:
    facts = cell_summary.facts(SPENT, {})

    assert facts["Wall time"] == "1.5 s"
    assert facts["CPU time"] == (
        "250 ms in the cell's thread, 250 ms in other threads of the notebook, "
        "12 µs in child processes"
    )


def test_shows_the_largest_and_counts_the_others() -> None:
    rows: dict[str, list[object]] = {
        "syscall": ["read", "openat", "read", "futex", "close", "brk"],
        "count": [5, 7, 6, 3, 2, 1],
    }
    assert fact("syscount", rows) == "24: read 11, openat 7, futex 3, 2 others"
    assert fact("syscount", {"count": [2, 3]}) == "5"


def test_names_a_wait_by_the_caller_of_the_scheduler() -> None:
    rows: dict[str, list[object]] = {
        "kernel_stack": ["x;do_wait;schedule;__schedule", "x;do_nanosleep;schedule_hrtimeout", "x"],
        "total_us": [500.0, 1_000_000.0, 20.0],
    }
    assert fact("offcputime", rows) == "1 s: do_nanosleep 1 s, do_wait 500 µs, x 20 µs"


def test_names_a_sample_by_the_innermost_function() -> None:
    rows: dict[str, list[object]] = {
        "user_stack": ["main;work", "main;read", "main;work"],
        "kernel_stack": ["", "entry;vfs_read", ""],
        "count": [6, 1, 3],
    }
    assert fact("profile", rows) == "10 samples: work 90%, vfs_read 10%"


def test_names_a_sample_by_its_python_function() -> None:
    rows: dict[str, list[object]] = {
        "user_stack": ["main;py::outer:/a.py;_PyEval;py::work:<cell:1>;list_sort", "main;free"],
        "kernel_stack": ["entry;vfs_read", ""],
        "count": [3, 1],
    }
    assert fact("profile", rows) == "4 samples: work 75%, free 25%"


def test_shows_allocations_by_function_and_size() -> None:
    functions: dict[str, list[object]] = {
        "function": ["malloc", "calloc"],
        "count": [1300, 3],
        "total_bytes": [3 << 20, 1 << 19],
    }
    assert fact("mallocdist", functions) == "1,303 of 3.5 MiB: malloc 1,300, calloc 3"
    sites: dict[str, list[object]] = {"held_bytes": [700, 300], "held": [7, 1], "taken": [9, 5]}
    assert fact("memleak", sites) == "1,000 B in 8 of 14 allocations"


def test_shows_lost_events() -> None:
    assert fact("syscount", {"count": [5]}, lost=1700) == "5 (1,700 events lost)"


def test_marks_probes_of_the_whole_machine() -> None:
    assert fact("biolatency", {"count": [3, 4]}, scoped=False) == "7 (whole machine)"
    assert fact("another", {"x": [1]}) == "1 row"


def test_the_names_of_a_cell_fit_a_thread_name() -> None:
    for name in (CELL_BEGINS, CELL_ENDS):
        assert len(name.encode()) <= 15


def test_a_cell_is_tested_where_the_probe_tests_its_filters() -> None:
    assert held().filters.tree == 77
    assert held().filters.tree_in_code is None
    assert held("offcputime").filters.tree_in_code is True
    assert held("biolatency").filters.tree is None
    with pytest.raises(ParameterError, match="tcplife cannot tell"):
        held("tcplife")


def test_the_agents_own_c_comes_after_the_policy_and_leaves_lines_as_they_are() -> None:
    program = Program.from_json(held().to_json())
    Policy(source="builtin").allowed(program)
    made = task_tree.prepare(program, None)

    assert made.source.startswith(program.source)
    assert [hook.function for hook in made.hooks[:3]] == [
        "ks_tree_fork",
        "ks_tree_free",
        "ks_tree_rename",
    ]
    assert task_tree.count(made.filters) == 3
    assert made.params["ks_tree_root"] == 77
    assert "#define KS_IN_TREE(tid) true" not in made.prelude
    plain = requests.of_probe(catalogue.find("syscount"), {}).program
    assert task_tree.prepare(plain, None) is plain


def test_a_pid_namespace_is_refused() -> None:
    with pytest.raises(RequirementError, match="inside a container"):
        task_tree.prepare(held(), (4, 4026532999))


def test_a_tree_is_a_processs_threads_and_its_descendants() -> None:
    go = threading.Event()
    thread = threading.Thread(target=go.wait)
    thread.start()
    child = subprocess.Popen(
        ["sh", "-c", "sleep 60 & echo $!; wait"], stdout=subprocess.PIPE, text=True
    )
    try:
        assert child.stdout is not None
        grandchild = int(child.stdout.readline())
        found = set(task_tree.threads(os.getpid()))
        assert {os.getpid(), thread.native_id, child.pid, grandchild} <= found
        assert set(task_tree.threads(child.pid)) == {child.pid, grandchild}
        os.kill(grandchild, 9)
    finally:
        go.set()
        if child.stdout is not None:
            child.stdout.close()
        thread.join()
        child.wait()


def test_a_process_that_has_ended_is_no_tree() -> None:
    with subprocess.Popen([sys.executable, "-c", ""]) as process:
        process.wait()
    with pytest.raises(TargetError, match="there is no process"):
        task_tree.fill(Filters(tree=process.pid), {task_tree.MAP: -1})


@pytest.mark.parametrize(("name", "wanted"), [("profile", ["perf", "off"]), ("syscount", [])])
def test_python_names_its_functions_where_there_are_stacks(
    monkeypatch: pytest.MonkeyPatch, name: str, wanted: list[str]
) -> None:
    """Check the calls; their effect needs Python 3.12 (integration/ui/test_python_cell.py)."""
    calls: list[str] = []
    for function, told in (
        ("activate_stack_trampoline", calls.append),
        ("deactivate_stack_trampoline", lambda: calls.append("off")),
        ("is_stack_trampoline_active", lambda: False),
    ):
        monkeypatch.setattr(sys, function, told, raising=False)
    asked = [requests.of_probe(catalogue.find(name), {})]

    with python_cell._named_frames(asked):
        assert calls == wanted[:1]
    assert calls == wanted
