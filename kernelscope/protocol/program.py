"""What to run: one program with its hooks, filters and limits, and how the agent checks it.

`Program.from_json` is the agent's gate: it accepts only known keys with values of the right type
and range, and raises `AgentRefusedError` naming the field otherwise.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from kernelscope.protocol.validation import NAME, Checker, integer, known, refuse

MAX_SOURCE = 256 << 10
MAX_FIELDS = 6  # of a tracepoint's record
MAX_DURATION_NS = 7 * 24 * 3600 * 10**9

_SPEC = re.compile(r"[\x21-\x7e][\x20-\x7e]{0,511}\Z")


@dataclass(frozen=True)
class Hook:
    """Where a C function is attached: the first of `any_of` that this kernel has.

    any_of: specs as bpftrace names them ("tracepoint:block:block_rq_issue", "uprobe:c:malloc").
        * and ? in a name stand for all that match (see hook_patterns.py).
    optional: the run continues without this hook if the kernel has none of them.
    fields: of a tracepoint's record; KS_PARAM(hook_field_0) and so on give their places.
    """

    function: str
    any_of: tuple[str, ...]
    optional: bool = False
    fields: tuple[str, ...] = ()


@dataclass(frozen=True)
class Filters:
    """Which tasks are traced; None means all. Compiled into each program's first instructions.

    cgroup: the id of a cgroup of version 2; its tasks and those of cgroups below it are traced.
    cgroup_level: how far it is below the root.
    tree: the id of a process to trace with everything that it starts (agent/attach/task_tree.py).
    tree_cell: `tree` is a thread's id instead; the thread's name says when it is traced.
    tree_in_code: the program tests the tree itself, because the current task is not the subject.
    """

    pid: int | None = None
    comm: str | None = None
    uid: int | None = None
    cgroup: int | None = None
    cgroup_level: int | None = None
    tree: int | None = None
    tree_cell: bool | None = None
    tree_in_code: bool | None = None


@dataclass(frozen=True)
class Program:
    """The full description of one run: plain data that survives JSON, checked by the agent.

    name: for messages and the kernel's own lists.
    source: BPF C in BCC's dialect.
    prelude: C put before the source (kernelscope.h); errors are counted from the source's line 1.
    defines: preprocessor macros; part of the bytecode cache's key.
    hooks: in addition to those that BCC's naming in the source implies.
    params: numbers for `KS_PARAM(name)`; patched into the bytecode, so any value is a cache hit.
    filters: tasks to trace.
    exclude: process ids to leave out (the agent always adds its own) for hooks that fire in the
        context of the task that they are about: system calls, user probes, sampling.
    target_pid: the process whose address space user probes and USDT attach to.
    duration_ns: 0 runs until stopped.
    interval_ns: maps are also read this often while it runs; 0 reads them at the end alone.
    ring_bytes: size of each ring buffer (a power of two; a larger size in the source wins).
    spool_bytes: how much the agent queues while the client is slow.
    max_entries: replaces the size of every hash in the source that states none, and of smaller
        tables of stacks; None keeps BCC's.
    per_cpu: keep per-CPU values separate instead of summing them.
    substitute_perf: use a ring buffer for BPF_PERF_OUTPUT.
    tables: the maps to read; empty means all. Rings and perf buffers are always read.
    enums: the kernel's enums whose names are sent with "attached".
    kernel_names: fields whose values, addresses of kernel functions, are sent with their names.
    symbolize: resolve stack traces.
    measure: sample the kernel's BPF run statistics in short windows.
    hold: load, send "loaded", and attach when "start" arrives: so several runs start together.
    """

    name: str
    source: str
    prelude: str = ""
    defines: Mapping[str, str] = field(default_factory=dict)
    hooks: tuple[Hook, ...] = ()
    params: Mapping[str, int] = field(default_factory=dict)
    filters: Filters = Filters()
    exclude: tuple[int, ...] = ()
    target_pid: int | None = None
    duration_ns: int = 0
    interval_ns: int = 0
    ring_bytes: int = 16 << 20
    spool_bytes: int = 256 << 20
    max_entries: int | None = None
    per_cpu: bool = False
    substitute_perf: bool = True
    tables: tuple[str, ...] = ()
    enums: tuple[str, ...] = ()
    kernel_names: tuple[str, ...] = ()
    symbolize: bool = True
    measure: bool = True
    hold: bool = False

    def to_json(self) -> dict[str, Any]:
        """Return the program as plain JSON values."""
        data = asdict(self)
        data["defines"] = dict(self.defines)
        data["params"] = dict(self.params)
        return data

    @classmethod
    def from_json(cls, data: Any) -> Program:
        """Check `data` and build the program. Raises AgentRefusedError, naming the field."""
        values = known(data, cls, "program")
        check = Checker(values, "program")
        return cls(
            name=check.pattern("name", NAME),
            source=check.text("source", MAX_SOURCE),
            prelude=check.text("prelude", MAX_SOURCE, default=""),
            defines=_defines(values.get("defines", {})),
            hooks=tuple(_hook(item) for item in check.items("hooks", 256)),
            params=_params(values.get("params", {})),
            filters=_filters(values.get("filters", {})),
            exclude=tuple(
                integer(pid, "program.exclude", 0, 2**31 - 1) for pid in check.items("exclude", 64)
            ),
            target_pid=check.integer("target_pid", 1, 2**31 - 1, default=None),
            duration_ns=check.number("duration_ns", 0, MAX_DURATION_NS, 0),
            interval_ns=check.number("interval_ns", 0, MAX_DURATION_NS, 0),
            ring_bytes=check.power_of_two("ring_bytes", 4096, 1 << 30, 16 << 20),
            spool_bytes=check.number("spool_bytes", 1 << 20, 16 << 30, 256 << 20),
            max_entries=check.integer("max_entries", 1, 64 << 20, default=None),
            per_cpu=check.flag("per_cpu", False),
            substitute_perf=check.flag("substitute_perf", True),
            tables=tuple(check.names("tables", 256)),
            enums=tuple(check.names("enums", 16)),
            kernel_names=tuple(check.names("kernel_names", 64)),
            symbolize=check.flag("symbolize", True),
            measure=check.flag("measure", True),
            hold=check.flag("hold", False),
        )


def _hook(data: Any) -> Hook:
    check = Checker(known(data, Hook, "hook"), "hook")
    specs = check.items("any_of", 16)
    if not specs or not all(isinstance(s, str) and _SPEC.match(s) for s in specs):
        raise refuse("hook.any_of", "not a list of hook names")
    return Hook(
        check.pattern("function", NAME),
        tuple(specs),
        check.flag("optional", False),
        tuple(check.names("fields", MAX_FIELDS)),
    )


def _filters(data: Any) -> Filters:
    check = Checker(known(data, Filters, "filters"), "filters")
    comm = check.values.get("comm")
    return Filters(
        pid=check.integer("pid", 0, 2**31 - 1, default=None),
        comm=None if comm is None else check.text("comm", 15),
        uid=check.integer("uid", 0, 2**32 - 1, default=None),
        cgroup=check.integer("cgroup", 0, 2**64 - 1, default=None),
        cgroup_level=check.integer("cgroup_level", 0, 255, default=None),
        tree=check.integer("tree", 1, 2**31 - 1, default=None),
        tree_cell=_flag_or_none(check, "tree_cell"),
        tree_in_code=_flag_or_none(check, "tree_in_code"),
    )


def _flag_or_none(check: Checker, name: str) -> bool | None:
    return None if check.values.get(name) is None else check.flag(name, False)


def _defines(data: Any) -> dict[str, str]:
    if not isinstance(data, dict) or len(data) > 64:
        raise refuse("program.defines", "not an object of at most 64 macros")
    for name, value in data.items():
        if not NAME.match(name):
            raise refuse("program.defines", f"{name!r} is not a macro's name")
        if not isinstance(value, str) or not re.match(r"[\x20-\x7e]{0,256}\Z", value):
            raise refuse(f"program.defines.{name}", "not one line of plain text")
    return dict(data)


def _params(data: Any) -> dict[str, int]:
    if not isinstance(data, dict) or len(data) > 64:
        raise refuse("program.params", "not an object of at most 64 numbers")
    for name, value in data.items():
        if not NAME.match(name):
            raise refuse("program.params", f"{name!r} is not a parameter's name")
        integer(value, f"program.params.{name}", -(2**63), 2**64 - 1)
    return dict(data)
