"""Where the time of a cell went: a line per probe."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from kernelscope.tables.attrs import receipt_of
from kernelscope.tables.results import Tables
from kernelscope.units import bytes_text, duration_text

if TYPE_CHECKING:
    import pandas as pd

_TOP = 3
# The last functions before a thread leaves the CPU: they do not show what it waits for.
_SCHEDULER = ("schedule", "__schedule", "io_schedule", "preempt_schedule", "__cond_resched")


@dataclass(frozen=True)
class Spent:
    """Seconds that a cell took: wall time and CPU time.

    thread_s: CPU time of the thread that ran it. process_s: of all threads of the notebook's
    process, also those that existed before. children_s: of processes that ended meanwhile.
    """

    wall_s: float
    thread_s: float
    process_s: float
    children_s: float


def facts(spent: Spent, results: Mapping[str, pd.DataFrame | Tables]) -> dict[str, str]:
    """Return the lines of the summary by title."""
    cpu = f"{duration_text(spent.thread_s)} in the cell's thread"
    others = max(0.0, spent.process_s - spent.thread_s)
    cpu += f", {duration_text(others)} in other threads of the notebook"
    cpu += f", {duration_text(spent.children_s)} in child processes"
    lines = {"Wall time": duration_text(spent.wall_s), "CPU time": cpu}
    for name, result in results.items():
        title, reader, table = _READERS.get(name, (name, _rows, ""))
        receipt = receipt_of(result)
        text = reader(_table(result, table))
        if "tree" not in receipt["filters"]:
            text += " (whole machine)"
        if lost := sum(receipt["lost"].values()):
            text += f" ({lost:,} events lost)"
        lines[title] = text
    return lines


def _table(result: pd.DataFrame | Tables, name: str) -> pd.DataFrame:
    """Return the table of that name, the first without one, or the only one."""
    if not isinstance(result, Tables):
        return result
    return result[name] if name in result else next(iter(result.values()))


def _largest(table: pd.DataFrame, names: Iterable[str], amount: str) -> list[tuple[str, float]]:
    """Return the largest sums of `amount` by name; `names` has one name per row."""
    sums: dict[str, float] = {}
    for name, value in zip(names, table[amount], strict=True):
        sums[name] = sums.get(name, 0) + float(value)
    return sorted(sums.items(), key=lambda item: -item[1])


def _listed(total: str, parts: list[str]) -> str:
    return f"{total}: {', '.join(parts)}" if parts else total


def _calls(calls: pd.DataFrame) -> str:
    if "syscall" not in calls.columns:
        return f"{int(calls['count'].sum()):,}"
    found = _largest(calls, calls["syscall"].astype(str), "count")
    parts = [f"{name} {count:,.0f}" for name, count in found[:_TOP]]
    if len(found) > _TOP:
        parts.append(f"{len(found) - _TOP} others")
    return _listed(f"{int(calls['count'].sum()):,}", parts)


def _waits(places: pd.DataFrame) -> str:
    total = duration_text(float(places["total_us"].sum()) / 1e6)
    if "kernel_stack" not in places.columns:
        return total
    found = _largest(places, map(_waits_in, places["kernel_stack"].astype(str)), "total_us")
    return _listed(total, [f"{name} {duration_text(us / 1e6)}" for name, us in found[:_TOP]])


def _waits_in(stack: str) -> str:
    """Return the kernel function that a stack waits in, without those of the scheduler."""
    names = [frame.partition("+")[0] for frame in stack.split(";")]
    return next((name for name in reversed(names) if not name.startswith(_SCHEDULER)), names[-1])


def _faults(faults: pd.DataFrame) -> str:
    found = _largest(faults, faults["kind"].astype(str), "count")
    return _listed(
        f"{int(faults['count'].sum()):,}", [f"{kind} {count:,.0f}" for kind, count in found]
    )


def _users(users: pd.DataFrame) -> str:
    found = _largest(users, users["operation"].astype(str), "size_bytes")
    parts = [f"{operation} {size:,.0f} bytes" for operation, size in found[:_TOP]]
    return _listed(f"{int(users['count'].sum()):,}", parts)


def _disks(latency: pd.DataFrame) -> str:
    return f"{int(latency['count'].sum()):,}"


def _samples(samples: pd.DataFrame) -> str:
    total = int(samples["count"].sum())
    stacks = samples[[c for c in ("user_stack", "kernel_stack") if c in samples.columns]]
    if not total or not stacks.shape[1]:
        return f"{total:,} samples"
    leaves = [_leaf(row) for row in stacks.astype(str).itertuples(index=False)]
    found = _largest(samples, leaves, "count")
    parts = [f"{name} {count / total:.0%}" for name, count in found[:_TOP]]
    return _listed(f"{total:,} samples", parts)


def _leaf(stacks: Iterable[str]) -> str:
    """Return the function of a sample: the Python function, else the innermost one.

    Python 3.12 and later name their functions "py::NAME:FILE". A kernel function, if there is one,
    is further in than those of the program.
    """
    found = [stack for stack in stacks if stack and stack != "nan"]
    python = [frame for stack in found for frame in stack.split(";") if frame.startswith("py::")]
    if python:
        return python[-1].split(":")[2]
    return found[-1].rpartition(";")[2] if found else "unknown"


def _allocations(functions: pd.DataFrame) -> str:
    found = _largest(functions, functions["function"].astype(str), "count")
    total = f"{int(functions['count'].sum()):,} of {bytes_text(functions['total_bytes'].sum())}"
    return _listed(total, [f"{name} {count:,.0f}" for name, count in found[:_TOP]])


def _held(sites: pd.DataFrame) -> str:
    taken, held = int(sites["taken"].sum()), int(sites["held"].sum())
    return f"{bytes_text(sites['held_bytes'].sum())} in {held:,} of {taken:,} allocations"


def _rows(table: pd.DataFrame) -> str:
    return f"{len(table):,} row{'' if len(table) == 1 else 's'}"


# By probe: the title of its line, the function that writes it, and the table that it reads.
_READERS: dict[str, tuple[str, Callable[[pd.DataFrame], str], str]] = {
    "syscount": ("System calls", _calls, "calls"),
    "offcputime": ("Off the CPU", _waits, ""),
    "pagefaults": ("Page faults", _faults, ""),
    "mallocdist": ("Allocations", _allocations, "functions"),
    "memleak": ("Still held", _held, "sites"),
    "biotop": ("Block I/O", _users, ""),
    "biolatency": ("Disk requests", _disks, ""),
    "profile": ("On the CPU", _samples, ""),
}
