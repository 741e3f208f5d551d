"""Which tasks a run traces: --pid, --comm, --uid, --cgroup, --tree, or one cell of a notebook.

The agent tests a task before a program's own C runs ("task"), or the C tests it ("code").
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from kernelscope.errors import ParameterError, TargetError
from kernelscope.probe import resolve
from kernelscope.probe.model import Probe
from kernelscope.protocol.program import Filters, Hook
from kernelscope.tracing.code_values import text_words
from kernelscope.tracing.options import FILTERS

_USER_HOOKS = ("uprobe:", "uretprobe:", "usdt:")


def of_source(given: Mapping[str, Any]) -> Filters:
    """Return the filters of custom C, which the agent tests. Raises TargetError."""
    _require_processes(given)
    return _tested_by_agent(given, given.get("tree"))


def of_probe(
    probe: Probe, given: Mapping[str, Any], cell_thread: int | None
) -> tuple[Filters, dict[str, int]]:
    """Return the filters of a probe's run, and the numbers that its C tests.

    cell_thread: trace only what that thread does while it runs a notebook's cell, and what it
    starts (see agent/attach/task_tree.py); a probe that knows no tasks is not restricted. Raises
    ParameterError, TargetError.
    """
    _check_supported(probe, given, cell_thread)
    _require_processes(given)
    in_cell = True if cell_thread is not None and probe.filters != "none" else None
    tree = cell_thread if in_cell else given.get("tree")
    if probe.filters == "task":
        return _tested_by_agent(given, tree, in_cell), {}
    in_code = None if tree is None else True
    return Filters(tree=tree, tree_cell=in_cell, tree_in_code=in_code), _params(given)


def target(given: Mapping[str, Any], hooks: tuple[Hook, ...]) -> int | None:
    """Return the process whose memory user probes attach to, where --pid names one."""
    user = any(spec.startswith(_USER_HOOKS) for hook in hooks for spec in hook.any_of)
    return given.get("pid") if user else None


def _tested_by_agent(
    given: Mapping[str, Any], tree: int | None, in_cell: bool | None = None
) -> Filters:
    cgroup = given.get("cgroup")
    return Filters(
        pid=given.get("pid"),
        comm=given.get("comm"),
        uid=given.get("uid"),
        cgroup=None if cgroup is None else cgroup.id,
        cgroup_level=None if cgroup is None else cgroup.level,
        tree=tree,
        tree_cell=in_cell,
    )


def _params(given: Mapping[str, Any]) -> dict[str, int]:
    """Return the filters as the numbers that a probe's own C tests."""
    params = {} if given.get("pid") is None else {"filter_pid": given["pid"]}
    if given.get("comm") is not None:
        params |= text_words("filter_comm", given["comm"])
    if given.get("uid") is not None:
        params["filter_uid"] = given["uid"] + 1  # 0 means unset, and root is user 0
    if given.get("cgroup") is not None:
        params["filter_cgroup"] = given["cgroup"].id
    return params


def _check_supported(probe: Probe, given: Mapping[str, Any], cell_thread: int | None) -> None:
    """Raise ParameterError where a filter needs to know more of the task than the probe does."""
    asked = [label for label in FILTERS if given.get(label) is not None]
    if probe.filters == "none" and asked:
        raise ParameterError(
            f"{probe.name} cannot tell processes apart, so --{asked[0]} does not work with it",
            name=asked[0],
        )
    if probe.filters == "none" or resolve.knows_tasks(probe):
        return
    for name, what in (("cgroup", "cgroups"), ("tree", "a process's descendants")):
        if given.get(name):
            raise ParameterError(
                f"{probe.name} cannot tell {what} apart, so --{name} does not work with it",
                name=name,
            )
    if cell_thread is not None:
        raise ParameterError(
            f"{probe.name} cannot tell a cell's threads apart from others",
            hint=f"%ebpf {probe.name} --bg runs it in the background while the cell runs",
            name="probe",
        )


def _require_processes(given: Mapping[str, Any]) -> None:
    for name in ("pid", "tree"):
        pid = given.get(name)
        if pid is None:
            continue
        if not _exists(pid):
            raise TargetError(
                f"there is no process {pid}",
                hint="it may have ended; look with ps",
                target=str(pid),
            )
        _require_live_process(pid)


def _require_live_process(pid: int) -> None:
    """Raise TargetError for a number that is a thread's, or a process's that has ended."""
    try:
        status = Path(f"/proc/{pid}/status").read_text(errors="replace")
    except OSError:
        return
    facts = dict(line.split(":\t", 1) for line in status.splitlines() if ":\t" in line)
    process = facts.get("Tgid", str(pid))
    if process != str(pid):
        raise TargetError(
            f"{pid} is a thread of process {process}, not a process",
            hint=f"write {process}: all its threads are traced",
            target=str(pid),
        )
    if facts.get("State", "")[:1] == "Z" and facts.get("Threads") in (None, "1"):
        raise TargetError(
            f"process {pid} has ended; only its parent has not noticed yet",
            hint="look with ps",
            target=str(pid),
        )


def _exists(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass  # it exists, and belongs to another user
    return True
