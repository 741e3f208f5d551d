"""One measurement with KernelScope, as JSON on standard output.

    python -m benchmarks.with_kernelscope CASE '{"count": N, ...}'

A process of its own, as a notebook is: its CPU time and memory are what the notebook would use.
"""

from __future__ import annotations

import json
import os
import resource
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

import kernelscope
from benchmarks import programs
from benchmarks.load import Load
from kernelscope.session import Run, default_session


def start(nonces: list[int], repeats: int) -> dict[str, Any]:
    """Cell to attached with a live agent: each program new (cold), then again (warm).

    A pause stands before each, as a person's next cell has one at the very least. At once after
    another (`at_once_s`) a tracepoint has to wait until the kernel has closed the last one.
    """
    begun = time.perf_counter()
    _attach(programs.START % {"nonce": 1})
    first = time.perf_counter() - begun
    time.sleep(1.0)  # an agent that has been idle has loaded its compiler
    cold, warm, at_once = [], [], []
    for nonce in nonces:
        source = programs.START % {"nonce": nonce}
        cold.append(_attach(source, pause_s=0.3))
        at_once += [_attach(source) for _ in range(repeats)]
        warm += [_attach(source, pause_s=0.3) for _ in range(repeats)]
    return {"first_s": first, "cold_s": cold, "warm_s": warm, "at_once_s": at_once}


def _attach(source: str, pause_s: float = 0.0) -> float:
    time.sleep(pause_s)
    begun = time.perf_counter()
    with kernelscope.start(source=source, duration="inf"):
        return time.perf_counter() - begun


def flood(count: int, source: str = "FLOOD_RING", max_rows: str | None = None) -> dict[str, Any]:
    """Every event into a DataFrame: how many came, what it cost, what memory it took."""
    load = Load(count)
    agent = default_session().agent
    _settle()
    peak_before = _peak_kib()
    before = _own_cpu_s() + _tree_cpu_s(agent.pid)
    with _started(getattr(programs, source), load, max_rows=max_rows) as run:
        load.begin()
        took = load.wait()
        loads_cpu_s = _children_cpu_s()  # nothing but dd has been waited for so far
        run.stop()
        frame = run.result(warn=False)
    used = _own_cpu_s() - before - loads_cpu_s
    peak_kib = _peak_kib()
    default_session().close()  # the agent's time is counted once it has been waited for
    assert isinstance(frame, pd.DataFrame)
    receipt = frame.attrs["kernelscope"]
    return {
        **took,
        "delivered": receipt["events"],
        "kept": len(frame),
        "in_order": bool(np.all(np.diff(frame["at"].to_numpy()) >= 0)),
        "lost": receipt.get("lost", {}),
        "cpu_s": used + _children_cpu_s(),
        "peak_mib": (peak_kib - peak_before) / 1024,
    }


def count(count: int) -> dict[str, Any]:
    """Count in a hash; only the traced program's time matters."""
    load = Load(count)
    _settle()
    with _started(programs.COUNT, load) as run:
        load.begin()
        took = load.wait()
        run.stop()
        frame = run.result()
    assert isinstance(frame, pd.DataFrame)
    return {**took, "delivered": int(frame["value"].sum())}


def table(count: int) -> dict[str, Any]:
    """From asking a run to stop to the DataFrame of its large hash."""
    load = Load(count)
    _settle()
    with _started(programs.HASH, load, table="keys") as run:
        load.begin()
        load.wait()
        begun = time.perf_counter()
        run.stop()
        frame = run.result()
        took = time.perf_counter() - begun
    assert isinstance(frame, pd.DataFrame)
    right = bool((frame["value"] == 3 * frame["key"]).all()) and frame["key"].is_unique
    return {"keys": len(frame), "frame_s": took, "right": right}


def _started(source: str, load: Load, **options: Any) -> Run:
    defines = {"TARGET": str(load.pid)}
    return kernelscope.start(source=source, defines=defines, duration="inf", **options)


def _settle() -> None:
    """Start the agent and let it load its compiler, as it does when it is idle."""
    kernelscope.run(source=programs.START % {"nonce": 1}, duration="100ms")
    time.sleep(1.0)


def _own_cpu_s() -> float:
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


def _children_cpu_s() -> float:
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def _tree_cpu_s(pid: int) -> float:
    """The time of a process and of those children that it has waited for."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return sum(map(int, fields[11:15])) / os.sysconf("SC_CLK_TCK")


def _peak_kib() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


CASES: dict[str, Callable[..., dict[str, Any]]] = {
    "start": start,
    "flood": flood,
    "count": count,
    "table": table,
}


def main() -> None:
    """Measure the case that the command line names."""
    case, options = sys.argv[1:]
    sys.stdout.write(json.dumps(CASES[case](**json.loads(options))) + "\n")


if __name__ == "__main__":
    main()
