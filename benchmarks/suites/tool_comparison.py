"""The measurements of each part: every tool once per round, one after another."""

from __future__ import annotations

import itertools
import mmap
import subprocess
import sys
import time
from collections.abc import Callable
from statistics import median

import numpy as np

from benchmarks.adapters.programs import KINDS, TEXT_BYTES
from benchmarks.measure.measurement import (
    BCC,
    BPFTRACE,
    KERNELSCOPE,
    Figure,
    Form,
    bcc,
    bpftrace,
    kernelscope,
)
from benchmarks.suites import overhead, scale
from workloads.bench.load import Load, ns_each

_nonces = itertools.count(time.time_ns() % 10**8)
_BARE_S = 0.5


def start(form: Form) -> list[Figure]:
    """From the question to the attached program; and the time before the first question."""
    repeats = 3
    loaded = kernelscope("extension")
    ours = kernelscope("start", nonces=[next(_nonces) for _ in range(repeats)], repeats=3)
    theirs = median(_bcc_start_s() for _ in range(repeats if form.full else 1))
    its = [bpftrace("start", nonce=next(_nonces)) for _ in range(repeats)]
    attached = median(each["attached_s"] for each in its)
    rows = {
        "first cell, which starts the agent": ours["first_s"],
        "first cell, 1 s after %load_ext": loaded["first_s"],
        "a new cell (cold)": median(ours["cold_s"]),
        "the cell again (warm)": median(ours["warm_s"]),
        "the cell again, directly after another": median(ours["at_once_s"]),
    }
    figures = []
    for row, value in rows.items():
        figures += [
            Figure(row, "ms to attached", KERNELSCOPE, value * 1e3),
            Figure(row, "ms to attached", BCC, theirs * 1e3),
            Figure(row, "ms to attached", BPFTRACE, attached * 1e3),
        ]
    for row, key in (("a new cell (cold)", "cold"), ("the cell again (warm)", "warm")):
        for step, seconds in ours["steps"][key].items():
            figures.append(Figure(row, f"of which ms: {step}", KERNELSCOPE, seconds * 1e3))
    whole = "the command, tracing for 1 s: extra time"
    return [
        *figures,
        Figure(whole, "ms", KERNELSCOPE, _command_s() * 1e3),
        Figure(whole, "ms", BCC, theirs * 1e3),
        Figure(whole, "ms", BPFTRACE, median(each["over_s"] for each in its) * 1e3),
        Figure("the module's import", "ms", KERNELSCOPE, _import_ms("kernelscope")),
        Figure("the module's import", "ms", BCC, bcc("load_module")["ms"]),
        Figure("%load_ext in IPython", "ms", KERNELSCOPE, loaded["ms"]),
    ]


def _bcc_start_s() -> float:
    begun = time.perf_counter()
    bcc("start", nonce=next(_nonces))
    return time.perf_counter() - begun


def _command_s() -> float:
    """The command line with a probe whose bytecode is cached, and no agent running."""
    command = [sys.executable, "-m", "kernelscope", "run", "syscount", "-d", "1", "--quiet"]
    begun = time.perf_counter()
    subprocess.run(command, capture_output=True, check=True)
    return time.perf_counter() - begun - 1


def _import_ms(module: str) -> float:
    text = f"import time; t = time.perf_counter(); import {module}; print(time.perf_counter() - t)"
    done = subprocess.run([sys.executable, "-c", text], capture_output=True, text=True, check=True)
    return float(done.stdout) * 1e3


RATES = {"1,000/s": 1e3, "10,000/s": 1e4, "100,000/s": 1e5, "1,000,000/s": 1e6, "flood": 0}
_SHORT_RATES = ("10,000/s", "flood")


def events(form: Form) -> list[Figure]:
    """Events at paced rates and in a flood, to a DataFrame."""
    figures: list[Figure] = []
    for size in (16, 40, 256) if form.full else (40,):
        for name, rate in RATES.items():
            if form.full or name in _SHORT_RATES:
                figures += _events(f"{name}, {size} bytes", size, rate)
    return figures


def _events(row: str, size: int, rate: float) -> list[Figure]:
    bare = Load(1 << 40, rate=rate, size=TEXT_BYTES, seconds=_BARE_S).run()
    seconds = 1.0 if rate else 1.5
    figures = []
    tools = {KERNELSCOPE: kernelscope, BCC: bcc, BPFTRACE: bpftrace}
    for tool, run in tools.items():
        found = run("events", size=size, rate=rate, seconds=seconds)
        made, delivered = found["events"], found["delivered"]
        figures += [
            Figure(row, "share delivered", tool, delivered / made),
            Figure(row, "CPU s per M", tool, found["cpu_s"] / max(delivered, 1) * 1e6),
            Figure(row, "traced program: times as slow", tool, ns_each(found) / ns_each(bare)),
            Figure(row, "M events/s made", tool, made / found["load_s"] / 1e6),
        ]
        if tool == KERNELSCOPE and rate == 0:
            parts = {"agent": "agent_s", "receive": "receive_s", "decode": "decode_s"}
            parts["decode again, in memory used before"] = "again_s"
            figures += [
                Figure(row, f"ns per event: {part}", tool, found[key] / delivered * 1e9)
                for part, key in parts.items()
            ]
    return figures


def flood(form: Form) -> list[Figure]:
    """A long flood without loss; the reading alone; and the slow-down of the traced program."""
    seconds = 30.0 if form.full else 3.0
    found = kernelscope("events", size=40, rate=0, seconds=seconds)
    whole = f"a flood of {seconds:.0f} s, kept whole"
    delivered = found["delivered"]
    streamed = kernelscope("stream", size=40, seconds=seconds / 3)
    figures = [
        Figure(whole, "M events made", KERNELSCOPE, found["events"] / 1e6),
        Figure(whole, "M events/s made", KERNELSCOPE, found["events"] / found["load_s"] / 1e6),
        Figure(whole, "events lost", KERNELSCOPE, found["events"] - delivered),
        Figure(whole, "M events per CPU s", KERNELSCOPE, delivered / found["cpu_s"] / 1e6),
        Figure(
            f"a flood of {seconds / 3:.0f} s, each batch decoded as it comes",
            "M events per CPU s",
            KERNELSCOPE,
            streamed["rows"] / streamed["cpu_s"] / 1e6,
        ),
    ]
    keys = {
        "the agent's read": "agent_s",
        "the columns, during the flood": "beside_s",
        "the columns alone": "decode_s",
    }
    for name, key in keys.items():
        row = f"of that, {name}"
        rate = streamed["rows"] / streamed[key] / 1e6
        figures.append(Figure(row, "M events per CPU s", KERNELSCOPE, rate))
    both = streamed["rows"] / (streamed["agent_s"] + streamed["decode_s"]) / 1e6
    row = "the agent's read and the columns"
    figures.append(Figure(row, "M events per CPU s", KERNELSCOPE, both))
    for limit, ns in _limits().items():
        figures.append(Figure(f"limit: {limit}", "ns for 48 bytes", KERNELSCOPE, ns))
    row = "traced program's ns per event in a flood"
    for name, options in _RINGS.items():
        took = kernelscope("unread", size=40, **options)
        figures.append(Figure(row, "ns", name, ns_each(took)))
    for name, pages in _BCC_PAGES.items():
        took = bcc("events", size=40, rate=0, seconds=1.0, pages=pages, keep_s=0)
        figures.append(Figure(row, "ns", name, ns_each(took)))
    bare = Load(1 << 40, size=TEXT_BYTES, seconds=_BARE_S).run()
    figures.append(Figure(row, "ns", "nothing traces it", ns_each(bare)))
    return figures


def _limits() -> dict[str, float]:
    """The cost of 48 bytes on this machine: to copy, and to touch for the first time."""
    source, block, count = np.ones(1 << 20, np.uint8), np.empty(1 << 20, np.uint8), 48
    begun = time.thread_time()
    for _ in range(count):
        np.copyto(block, source)
    copied = time.thread_time()
    fresh = [bytearray(1 << 20) for _ in range(count)]
    touched = time.thread_time()
    each = 48 / (count * len(fresh[0])) * 1e9
    return {
        "a copy": (copied - begun) * each,
        "a first touch of memory": (touched - copied) * each,
        "the same, of memory that the host has taken back": _host_ns() * 48,
    }


def _host_ns() -> float:
    """The cost of a byte that the host must provide first: the most expensive 64 MiB of a GiB.

    In huge pages, so that this machine's own faults are few.
    """
    piece, slowest = 64 << 20, 0.0
    with mmap.mmap(-1, 16 * piece, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS) as memory:
        memory.madvise(mmap.MADV_HUGEPAGE)
        data = memoryview(memory)
        for at in range(0, 16 * piece, piece):
            begun = time.thread_time()
            for page in range(at, at + piece, mmap.PAGESIZE):
                data[page] = 1
            slowest = max(slowest, time.thread_time() - begun)
        data.release()
    return slowest / piece * 1e9


# 1.0 s at up to 3 M events of 48 bytes: the large ring takes all, the default one is soon full.
_RINGS = {
    "KernelScope, ring of 16 MiB": {"seconds": 1.0, "ring": "16M", "read": True},
    "KernelScope, ring of 256 MiB": {"seconds": 1.0, "ring": "256M", "read": True},
    "not read, ring of 256 MiB": {"seconds": 1.0, "ring": "256M", "read": False},
    "not read, ring of 16 MiB (soon full)": {"seconds": 1.0, "ring": "16M", "read": False},
}


_BCC_PAGES = {"bcc, ring of 16 MiB": 4096, "bcc, ring of 256 MiB, which takes all": 65536}


def maps(form: Form) -> list[Figure]:
    """Maps from the kernel to a DataFrame."""
    counts = [100, 10_000, 1_000_000] if form.full else [100, 10_000]
    figures = []
    for kind in KINDS if form.full else ("scalar",):
        ours = kernelscope("maps", kind=kind, counts=counts)
        theirs = bcc("maps", kind=kind, counts=counts)
        its = bpftrace("maps", kind=kind, counts=counts)
        for count in counts:
            row, key = f"{count:,} {kind} keys", str(count)
            figures.append(Figure(row, "ms to a DataFrame", KERNELSCOPE, ours[key]["s"] * 1e3))
            best = min(theirs[key].values())
            figures.append(Figure(row, "ms to a DataFrame", BCC, best * 1e3))
            figures.append(
                Figure(row, "ms to a DataFrame", "bcc items()", theirs[key]["items_s"] * 1e3)
            )
            figures.append(Figure(row, "ms to a DataFrame", BPFTRACE, its[key]["s"] * 1e3))
            measure = "ms to the end and a DataFrame"
            figures.append(Figure(row, measure, KERNELSCOPE, ours[key]["end_s"] * 1e3))
            detached = ours[key]["detach_s"] * 1e3
            figures.append(Figure(row, "of which ms: detach", KERNELSCOPE, detached))
            figures.append(Figure(row, measure, BPFTRACE, its[key]["s"] * 1e3))
    return figures


def count(form: Form) -> list[Figure]:
    """The cost of counting in a hash per event of the traced program."""
    events = 2_000_000 if form.full else 500_000
    bare = ns_each(Load(events).run())
    row, figures = "a count in a hash", []
    for tool, run in {KERNELSCOPE: kernelscope, BCC: bcc, BPFTRACE: bpftrace}.items():
        found = run("count", events=events)
        if found["delivered"] != found["events"]:
            raise RuntimeError(f"{tool} counted {found}")
        figures.append(Figure(row, "ns added to an event", tool, ns_each(found) - bare))
    return figures


PARTS: dict[str, Callable[[Form], list[Figure]]] = {
    "start": start,
    "events": events,
    "flood": flood,
    "maps": maps,
    "count": count,
    "overhead": overhead.measure,
    "probes": overhead.probes,
    "live": scale.live,
    "scale": scale.measure,
}
