"""A probe's cost: its programs' time per event, and the slow-down of a flood of system calls."""

from __future__ import annotations

import os
import re
import statistics
import subprocess
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from benchmarks.measure.paired import pairs
from kernelscope.agent.kernel import syscalls
from kernelscope.tables.results import Tables

ROUNDS = 5
CALLS = 400_000
# The system-call-bound load: half of the calls are reads, half are writes, of one byte each.
FLOOD = ("dd", "if=/dev/zero", "of=/dev/null", "bs=1", f"count={CALLS // 2}", "status=none")


@dataclass(frozen=True)
class Runs:
    """How often a run's programs ran, and for how long in total."""

    busiest: int
    total: int
    time_ns: int


@contextmanager
def counted() -> Iterator[None]:
    """Make the kernel measure every run of every program."""
    switch = syscalls.enable_stats()
    try:
        yield
    finally:
        os.close(switch)


def runs_under(agent_pid: int) -> Runs:
    """Return the run statistics of the agent's programs (Documentation/bpf)."""
    programs: dict[int, tuple[int, int]] = {}
    for child in Path(f"/proc/{agent_pid}/task/{agent_pid}/children").read_text().split():
        for path in Path(f"/proc/{child}/fdinfo").iterdir():
            facts = dict(re.findall(r"^(\w+):\s+(\d+)$", path.read_text(), re.MULTILINE))
            if "run_cnt" in facts:
                seen = int(facts["run_cnt"]), int(facts["run_time_ns"])
                programs[int(facts["prog_id"])] = seen
    counts = [runs for runs, _ in programs.values()] or [0]
    return Runs(max(counts), sum(counts), sum(spent for _, spent in programs.values()))


def ns_per_event(result: pd.DataFrame | Tables, runs: Runs) -> float | None:
    """Return the cost as defined by probe.Overhead; None if no program ran."""
    if not runs.total:
        return None
    tables = list(result.values()) if isinstance(result, Tables) else [result]
    told = max((_events(table) for table in tables), default=0)
    return runs.time_ns / min(runs.total, max(runs.busiest, told))


def _events(table: pd.DataFrame) -> int:
    return int(table["count"].sum()) if "count" in table.columns else len(table)


def rounded(ns: float) -> float:
    """Return two significant digits: the measurement has no more."""
    return float(f"{ns:.2g}")


def overhead(attached: Callable[[], AbstractContextManager[Any]]) -> Mapping[str, float]:
    """Return how many times as much CPU time the flood takes with the probe: the rounds' median.

    Each round measures with the probe, attached again, between two runs without it; low and high
    are the extremes of the rounds.
    """
    _flood()  # the first one is slower
    ratios = [pair["flood"].ratio for pair in pairs(_flood, attached, ROUNDS)]
    named = {"ratio": statistics.median(ratios), "low": min(ratios), "high": max(ratios)}
    return {name: round(value, 2) for name, value in named.items()}


def _flood() -> dict[str, float]:
    """Run the load on one CPU and return its CPU time, which other processes change little."""
    one = max(os.sched_getaffinity(0))
    with subprocess.Popen(FLOOD, preexec_fn=lambda: os.sched_setaffinity(0, {one})) as process:
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    return {"flood": usage.ru_utime + usage.ru_stime}
