"""What tracing costs the traced: three loads under each built-in probe, and under others' tools."""

from __future__ import annotations

import os
import re
import select
import signal
import subprocess
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from pathlib import Path
from typing import Any

from benchmarks import with_bpftrace
from benchmarks.figures import BCC, BPFTRACE, KERNELSCOPE, Figure, Form, kernelscope
from benchmarks.load import Load
from benchmarks.programs import QUESTIONS
from kernelscope.agent import kernel

# A system call, a switch, a read from the disk: how many of each, and by what its cost is told.
LOADS: dict[str, tuple[int, str]] = {
    "calls": (300_000, "load_cpu_s"),
    "switches": (20_000, "load_cpu_s"),
    "reads": (1_000, "load_s"),
}
_READY_S = 15.0


def costs(kinds: Iterable[str] = LOADS, tries: int = 3) -> dict[str, float]:
    """Return the ns of an event of each load as things are: the least of some tries."""
    found = {}
    for kind in kinds:
        count, by = LOADS[kind]
        seen = [Load(count, kind).run()[by] for _ in range(tries)]
        found[kind] = min(seen) / count * 1e9
    return found


def bpf_ns(pids: Callable[[], list[int]], kind: str) -> float:
    """Return the kernel's own figure: BPF time for an event of a load, in programs of `pids`."""
    count = LOADS[kind][0]
    switch = kernel.enable_stats()
    try:
        before = _run_time_ns(pids())
        Load(count, kind).run()
        return max(0, _run_time_ns(pids()) - before) / count
    finally:
        os.close(switch)


def _run_time_ns(pids: list[int]) -> int:
    programs: dict[int, int] = {}
    for pid in pids:
        with suppress(FileNotFoundError, ProcessLookupError):
            for path in Path(f"/proc/{pid}/fdinfo").iterdir():
                with suppress(FileNotFoundError):
                    facts = dict(re.findall(r"^(\w+):\s+(\d+)$", path.read_text(), re.MULTILINE))
                    if "run_time_ns" in facts:
                        programs[int(facts["prog_id"])] = int(facts["run_time_ns"])
    return sum(programs.values())


def probes(form: Form) -> list[Figure]:
    """Every built-in probe that this machine can run, with all of the machine traced."""
    found = kernelscope("probes", names=None if form.full else list(QUESTIONS)[:4])
    figures = []
    for name, seen in found["probes"].items():
        for kind in LOADS:
            slower = seen["with"][kind] / seen["bare"][kind]
            figures.append(Figure(name, f"{kind}: times as slow", KERNELSCOPE, slower))
        for kind in LOADS:
            measure = f"{kind}: BPF ns an event"
            figures.append(Figure(name, measure, KERNELSCOPE, seen["bpf_ns"][kind]))
    return figures


def measure(form: Form) -> list[Figure]:
    """The same question asked by a probe, by bcc's tool and by bpftrace."""
    figures = []
    chosen = list(QUESTIONS.items()) if form.full else list(QUESTIONS.items())[:2]
    for name, (kind, tool, text) in chosen:
        ours = kernelscope("probes", names=[name], kinds=[kind])["probes"]
        seen = {KERNELSCOPE: ours[name]} if ours else {}
        runs = {BCC: (_bcc_tool, tool), BPFTRACE: (_bt, text)}
        for who, (run, what) in runs.items():
            with suppress(RuntimeError):  # the table has no figure, and the page says why
                seen[who] = _seen(run(what), kind)
        for who, each in seen.items():
            row = f"{name}: {kind}"
            added = each["with"][kind] - each["bare"][kind]
            # A read's time scatters by more than what tracing adds: it is told, not compared.
            measure = "ns added to an event" if kind != "reads" else "elapsed ns added to a read"
            figures.append(Figure(row, measure, who, added))
            figures.append(Figure(row, "BPF ns an event", who, each["bpf_ns"][kind]))
    return figures


def _seen(tool: AbstractContextManager[int], kind: str) -> dict[str, dict[str, float]]:
    bare = costs([kind])
    with tool as pid:
        with_it = costs([kind])
        spent = {kind: bpf_ns(lambda: [pid], kind)}
    return {"bare": bare, "with": with_it, "bpf_ns": spent}


@contextmanager
def _bcc_tool(command: Any) -> Iterator[int]:
    """Run a tool of the distribution's; raises RuntimeError where it does not attach."""
    process = subprocess.Popen(
        [f"/usr/sbin/{command[0]}", *command[1:]],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env={**os.environ, "PYTHONUNBUFFERED": "1", "PYTHONPATH": ""},
    )
    assert process.stdout is not None
    try:
        ready, _, _ = select.select([process.stdout], [], [], _READY_S)
        if not ready or not process.stdout.readline():
            raise RuntimeError(f"{command[0]} did not attach")
        time.sleep(0.5)
        yield process.pid
    finally:
        process.send_signal(signal.SIGINT)
        with suppress(subprocess.TimeoutExpired):
            process.wait(5)
        process.kill()
        process.wait()
        process.stdout.close()


@contextmanager
def _bt(text: Any) -> Iterator[int]:
    process = with_bpftrace.started(with_bpftrace.saying(text))
    with_bpftrace.wait_attached(process)
    try:
        yield process.pid
    finally:
        with_bpftrace.end(process)
