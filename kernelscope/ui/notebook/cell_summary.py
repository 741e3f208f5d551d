"""Says in a line for each probe where a cell's time went."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from kernelscope.tables.attrs import receipt_of
from kernelscope.tables.results import Tables

if TYPE_CHECKING:
    import pandas as pd

_TOP = 3
# The last functions before a thread leaves the CPU, which say nothing of what it waits for.
_SCHEDULER = ("schedule", "__schedule", "io_schedule", "preempt_schedule", "__cond_resched")


@dataclass(frozen=True)
class Spent:
    """Seconds that a cell took: by the clock, and of CPU.

    thread_s: by the thread that ran it. process_s: by all threads of the notebook's process,
    whoever started them. children_s: by processes that ended meanwhile.
    """

    wall_s: float
    thread_s: float
    process_s: float
    children_s: float


def facts(spent: Spent, results: Mapping[str, pd.DataFrame | Tables]) -> dict[str, str]:
    """Return the summary's lines by what they are about."""
    cpu = f"{seconds(spent.thread_s)} in the cell's thread"
    others = max(0.0, spent.process_s - spent.thread_s)
    cpu += f", {seconds(others)} in other threads of the notebook"
    cpu += f", {seconds(spent.children_s)} in processes it waited for"
    said = {"Wall time": seconds(spent.wall_s), "CPU time": cpu}
    for name, result in results.items():
        title, reader, table = _READERS.get(name, (name, _rows, ""))
        receipt = receipt_of(result)
        text = reader(_table(result, table))
        if "tree" not in receipt["filters"]:
            text += " (of the whole machine)"
        if lost := sum(receipt["lost"].values()):
            text += f" ({lost:,} events lost)"
        said[title] = text
    return said


def _table(result: pd.DataFrame | Tables, name: str) -> pd.DataFrame:
    """Return the table of that name, the first without one, or the only one."""
    if not isinstance(result, Tables):
        return result
    return result[name] if name in result else next(iter(result.values()))


def seconds(value: float) -> str:
    """Return a time with three digits: "1.20 s", "35.1 ms", "12 us"."""
    if value >= 1:
        return f"{value:,.2f} s"
    if value >= 0.001:
        return f"{value * 1e3:.3g} ms"
    return f"{value * 1e6:.0f} us"


def _largest(table: pd.DataFrame, names: Iterable[str], amount: str) -> list[tuple[str, float]]:
    """Return the largest sums of `amount` by name; one name for each row."""
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
    total = seconds(float(places["total_us"].sum()) / 1e6)
    if "kernel_stack" not in places.columns:
        return total
    found = _largest(places, map(_waits_in, places["kernel_stack"].astype(str)), "total_us")
    return _listed(total, [f"{name} {seconds(us / 1e6)}" for name, us in found[:_TOP]])


def _waits_in(stack: str) -> str:
    """Return the kernel's function that a stack waits in, the scheduler's own left out."""
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
    """Return where a sample was: in which Python function, else the innermost of all.

    Python 3.12 and later give their functions as "py::NAME:FILE". The kernel is inside of a
    program, where a sample was in it at all.
    """
    found = [stack for stack in stacks if stack and stack != "nan"]
    python = [frame for stack in found for frame in stack.split(";") if frame.startswith("py::")]
    if python:
        return python[-1].split(":")[2]
    return found[-1].rpartition(";")[2] if found else "unknown"


def _allocations(functions: pd.DataFrame) -> str:
    found = _largest(functions, functions["function"].astype(str), "count")
    total = f"{int(functions['count'].sum()):,} of {size(functions['total_bytes'].sum())}"
    return _listed(total, [f"{name} {count:,.0f}" for name, count in found[:_TOP]])


def _held(sites: pd.DataFrame) -> str:
    taken, held = int(sites["taken"].sum()), int(sites["held"].sum())
    return f"{size(sites['held_bytes'].sum())} in {held:,} of {taken:,} allocations"


def size(number: float) -> str:
    """Return a number of bytes as people say it: "512 bytes", "21.3 MiB"."""
    for unit, bytes_each in (("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10)):
        if number >= bytes_each:
            return f"{number / bytes_each:.3g} {unit}"
    return f"{number:.0f} bytes"


def _rows(table: pd.DataFrame) -> str:
    return f"{len(table):,} row{'' if len(table) == 1 else 's'}"


# By probe: what its line is called, what writes it, and of which table.
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
