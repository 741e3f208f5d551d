"""What is measured: each case runs every tool once, one after the other, and gives their figures.

A figure is (case, tool, measure, value). A case is called once a round, so that a slow minute of
the machine is shared by all the tools.
"""

from __future__ import annotations

import itertools
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks import programs, with_bpftrace
from benchmarks.load import ns_each, untraced_ns

HERE = Path(__file__).resolve().parent
PYTHON = "/usr/bin/python3"
KERNELSCOPE, BCC, BPFTRACE = "KernelScope", "bcc", "bpftrace"
_nonces = itertools.count(time.time_ns() % 10**8)


@dataclass(frozen=True)
class Figure:
    """One measured number."""

    case: str
    tool: str
    measure: str
    value: float


@dataclass(frozen=True)
class Size:
    """How much of each load: reads and writes of the fast tools, and of those with callbacks."""

    flood: int = 12_500_000
    flood_slow: int = 500_000
    overhead: int = 1_000_000
    memory: int = 50_000_000
    starts: int = 5


QUICK = Size(flood=500_000, flood_slow=50_000, overhead=200_000, memory=2_000_000, starts=1)


def start(size: Size) -> list[Figure]:
    """From the question to the program attached."""
    nonces = [next(_nonces) for _ in range(size.starts)]
    ours = _kernelscope("start", nonces=nonces, repeats=3)
    found = {
        f"{KERNELSCOPE}, first cell (starts its agent)": ours["first_s"],
        f"{KERNELSCOPE}, a new cell": median(ours["cold_s"]),
        f"{KERNELSCOPE}, the cell again": median(ours["warm_s"]),
        f"{KERNELSCOPE}, the cell again, at once after another": median(ours["at_once_s"]),
        f"{BPFTRACE} -e": median(
            with_bpftrace.start(next(_nonces))["attached_s"] for _ in range(size.starts)
        ),
        f"{BCC}, a script": median(_bcc_start() for _ in range(size.starts)),
    }
    return [Figure("start", tool, "s", value) for tool, value in found.items()]


def _bcc_start() -> float:
    begun = time.perf_counter()
    _bcc("start", nonce=next(_nonces))
    return time.perf_counter() - begun


def flood(size: Size) -> list[Figure]:
    """Every event of a flood into Python objects or a DataFrame."""
    ways: dict[str, tuple[int, Callable[[int], dict[str, Any]]]] = {
        f"{KERNELSCOPE}, BPF_RINGBUF_OUTPUT": (size.flood, _flood("FLOOD_RING")),
        f"{KERNELSCOPE}, BPF_PERF_OUTPUT": (size.flood, _flood("FLOOD_PERF")),
        f"{BCC}, ring buffer and callback": (size.flood, lambda n: _bcc("flood_ring", count=n)),
        f"{BCC}, perf buffer and callback": (
            size.flood_slow,
            lambda n: _bcc("flood_perf", count=n),
        ),
        f"{BPFTRACE} -f json": (size.flood_slow, with_bpftrace.flood_json),
    }
    figures = []
    bare_ns = untraced_ns(size.flood)
    for tool, (count, measure) in ways.items():
        found = measure(count)
        events, delivered = found["events"], found["delivered"]
        figures += [
            Figure("flood", tool, "M events/s offered", events / found["load_s"] / 1e6),
            Figure("flood", tool, "s of flood", found["load_s"]),
            Figure("flood", tool, "share delivered", delivered / events),
            Figure("flood", tool, "CPU-s per M events", found["cpu_s"] / max(delivered, 1) * 1e6),
            Figure("flood", tool, "ns added to each event", ns_each(found) - bare_ns),
        ]
    return figures


def _flood(source: str) -> Callable[[int], dict[str, Any]]:
    return lambda count: _kernelscope("flood", count=count, source=source)


def table(size: Size) -> list[Figure]:
    """A hash of a million keys, from the kernel to the tool's own form."""
    del size
    ours = _kernelscope("table", count=programs.KEYS)
    theirs = _bcc("table", count=programs.KEYS)
    if not (ours["right"] and ours["keys"] == theirs["keys"] == programs.KEYS):
        raise RuntimeError(f"not every key arrived: {ours} {theirs}")
    return [
        Figure("table", f"{KERNELSCOPE}, to a DataFrame", "s", ours["frame_s"]),
        Figure("table", f"{BCC}, items_lookup_batch() to a list", "s", theirs["batch_s"]),
        Figure("table", f"{BCC}, items() to a list", "s", theirs["items_s"]),
    ]


def overhead(size: Size) -> list[Figure]:
    """What tracing adds to each event of the traced program: a count in a hash."""
    bare_ns = untraced_ns(size.overhead)
    figures = []
    for tool, found in (
        (KERNELSCOPE, _kernelscope("count", count=size.overhead)),
        (BCC, _bcc("count", count=size.overhead)),
        (BPFTRACE, with_bpftrace.count(size.overhead)),
    ):
        if found["delivered"] != found["events"]:
            raise RuntimeError(f"{tool} counted {found}")
        added = ns_each(found) - bare_ns
        figures.append(Figure("overhead", tool, "ns added to each event", added))
    return figures


def memory(size: Size) -> list[Figure]:
    """The notebook's memory over a long flood of which it keeps the latest million rows."""
    found = _kernelscope("flood", count=size.memory, max_rows="1M")
    tool = f"{KERNELSCOPE} --max-rows 1M"
    return [
        Figure("memory", tool, "M events", found["events"] / 1e6),
        Figure("memory", tool, "rows kept", found["kept"]),
        Figure("memory", tool, "MiB more at the peak", found["peak_mib"]),
        Figure("memory", tool, "s of flood", found["load_s"]),
    ]


CASES: dict[str, Callable[[Size], list[Figure]]] = {
    "start": start,
    "flood": flood,
    "table": table,
    "overhead": overhead,
}


# --- running the tools ---------------------------------------------------------------------------


def _kernelscope(case: str, **options: Any) -> dict[str, Any]:
    command = [sys.executable, "-m", "benchmarks.with_kernelscope", case, json.dumps(options)]
    return _json(command, os.environ)


def _bcc(case: str, **options: Any) -> dict[str, Any]:
    return _json([PYTHON, str(HERE / "with_bcc.py"), case, json.dumps(options)], os.environ)


def _json(command: list[str], environment: Any) -> dict[str, Any]:
    done = subprocess.run(command, capture_output=True, text=True, env=environment, cwd=HERE.parent)
    if done.returncode:
        raise RuntimeError(f"{' '.join(command[:4])}:\n{done.stderr[-3000:]}")
    found: dict[str, Any] = json.loads(done.stdout.strip().splitlines()[-1])
    return found


@contextmanager
def headers_for_bcc() -> Iterator[str]:
    """Say which headers plain bcc uses: the kernel's own, or a stand-in made from its BTF."""
    if Path(f"/lib/modules/{os.uname().release}/build/include").is_dir():
        yield "the kernel's own"
        return
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        made = subprocess.run(
            [PYTHON, str(HERE / "kernel_tree.py"), folder],
            capture_output=True,
            text=True,
            check=True,
        )
        os.environ["BCC_KERNEL_SOURCE"] = folder
        os.environ["KS_HEADER"] = made.stdout.strip()
        yield "a stand-in made from the kernel's BTF (no headers are installed)"
