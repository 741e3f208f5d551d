"""Restricts tracing to a process tree, or to one cell of a notebook with everything it starts.

A map has the ids of the traced threads. Every thread and process that one of them starts is added
before it first runs (`sched_process_fork`), and is removed when the kernel frees it. The map
starts with the present threads and descendants; a cell's thread adds and removes itself by the
names it briefly takes, so that the trace has exactly what the cell does.

The C here is the agent's own, added to a program that was checked before.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from kernelscope.agent.kernel import maps
from kernelscope.errors import RequirementError, TargetError
from kernelscope.protocol.cell_names import CELL_BEGINS, CELL_ENDS
from kernelscope.protocol.program import Filters, Hook, Program

MAP = "ks_tree"
_SCANS = 100

_BEFORE = f"""
BPF_HASH({MAP}, u32, u8, 65536);
static inline __attribute__((always_inline)) bool ks_in_tree(u32 tid)
{{
    return {MAP}.lookup(&tid) != 0;
}}
"""
_ANY, _LISTED = "#define KS_IN_TREE(tid) true\n", "#define KS_IN_TREE(tid) ks_in_tree(tid)\n"

_AFTER = f"""
int ks_tree_fork(u64 *ctx)
{{
    u32 parent = ((struct task_struct *)ctx[0])->pid, child = ((struct task_struct *)ctx[1])->pid;
    u8 one = 1;

    if ({MAP}.lookup(&parent))
        {MAP}.update(&child, &one);
    return 0;
}}

int ks_tree_free(u64 *ctx)
{{
    u32 tid = ((struct task_struct *)ctx[0])->pid;

    {MAP}.delete(&tid);
    return 0;
}}
"""


def _is(words: str, name: str) -> str:
    """Return C that compares two words with a name."""
    low, high = struct.unpack("<QQ", name.encode().ljust(16, b"\0"))
    return f"{words}[0] == {low:#x}ull && {words}[1] == {high:#x}ull"


# task_rename(task, new name): the task still has its old one.
_CELL = f"""
int ks_tree_rename(u64 *ctx)
{{
    struct task_struct *task = (struct task_struct *)ctx[0];
    u64 before[2] = {{}}, after[2] = {{}};
    u32 tid = task->pid;
    u8 one = 1;

    if (tid != KS_PARAM(ks_tree_root))
        return 0;
    bpf_probe_read_kernel_str(before, sizeof(before), task->comm);
    bpf_probe_read_kernel_str(after, sizeof(after), (void *)ctx[1]);
    if ({_is("before", CELL_BEGINS)})
        {MAP}.update(&tid, &one);
    if ({_is("after", CELL_ENDS)})
        {MAP}.delete(&tid);
    return 0;
}}
"""

_HOOKS = (
    Hook("ks_tree_fork", ("tp_btf:sched_process_fork",)),
    Hook("ks_tree_free", ("tp_btf:sched_process_free",)),
)
_CELL_HOOKS = (Hook("ks_tree_rename", ("tp_btf:task_rename",)),)
FUNCTIONS = frozenset(hook.function for hook in (*_HOOKS, *_CELL_HOOKS))


def prepare(program: Program, namespace: tuple[int, int] | None) -> Program:
    """Add the C and the hooks that follow the tree, before the program's own.

    Raises RequirementError inside a pid namespace: threads have other ids there.
    """
    filters = program.filters
    if filters.tree is None:
        return program
    if namespace is not None:
        raise RequirementError(
            "--tree does not work inside a container: threads have other ids there",
            hint="Run it outside, or give the container the machine's processes (--pid=host).",
            requirement="the machine's own pid namespace",
        )
    hooks = (*_HOOKS, *(_CELL_HOOKS if filters.tree_cell else ()))
    return replace(
        program,
        prelude=_BEFORE + program.prelude.replace(_ANY, _LISTED),
        source=program.source + _AFTER + (_CELL if filters.tree_cell else ""),
        hooks=(*hooks, *program.hooks),
        params={**program.params, "ks_tree_root": filters.tree},
    )


def count(filters: Filters) -> int:
    """Return how many bindings, the first ones, follow the tree."""
    return 0 if filters.tree is None else len(_HOOKS) + bool(filters.tree_cell)


def fill(filters: Filters, map_fds: Mapping[str, int]) -> None:
    """Add the present threads of the tree; those that it starts meanwhile are added by the hooks.

    Raises TargetError if the process has ended.
    """
    if filters.tree is None or filters.tree_cell:
        return
    entered: set[int] = set()
    for _ in range(_SCANS):  # the next scan finds what started before its parent was added
        new = set(threads(filters.tree)) - entered
        for tid in new:
            maps.update(map_fds[MAP], tid.to_bytes(4, "little"), b"\1")
        if not new:
            break
        entered |= new
    if not any(map(_is_alive, entered)):
        raise TargetError(
            f"process {filters.tree} has ended, and nothing that it started is left"
            if entered
            else f"there is no process {filters.tree}",
            hint="it may have ended; look with ps",
            target=str(filters.tree),
        )


def _is_alive(tid: int) -> bool:
    """Whether a thread can still run: a zombie has ended, and only waits for its parent."""
    with suppress(OSError):
        stat = Path(f"/proc/{tid}/stat").read_text(errors="replace")
        return stat.rpartition(")")[2].split()[0] not in ("Z", "X")
    return False


def threads(pid: int) -> Iterator[int]:
    """Yield the ids of a process's threads and of those of all its descendants."""
    pending: list[int] = [pid]
    seen: set[int] = set()
    while pending:
        process = pending.pop()
        if process in seen:
            continue
        seen.add(process)
        with suppress(OSError):
            for task in Path(f"/proc/{process}/task").iterdir():
                yield int(task.name)
                with suppress(OSError):
                    pending += map(int, (task / "children").read_text().split())


def names_of(functions: Sequence[str]) -> list[str]:
    """Return the functions that are not the agent's own."""
    return [name for name in functions if name not in FUNCTIONS]
