"""The cost for traced programs: three loads under each built-in probe, and under other tools."""

from __future__ import annotations

import os
import re
import select
import signal
import subprocess
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any

import kernelscope
from benchmarks.adapters import run_bpftrace as bpftrace
from benchmarks.adapters.programs import QUESTIONS
from benchmarks.measure.measurement import BCC, BPFTRACE, KERNELSCOPE, Figure, Form
from benchmarks.measure.measurement import kernelscope as case
from benchmarks.measure.paired import Pair, pairs
from kernelscope.agent.kernel import syscalls
from kernelscope.errors import KernelScopeError
from kernelscope.probe import catalogue
from kernelscope.tracing.session import default_session
from workloads.bench.load import Load

# The number of system calls, switches, and reads from the disk.
LOADS = {"calls": 100_000, "switches": 8_000, "reads": 500}
FULL_ROUNDS, SHORT_ROUNDS = 5, 3  # of five the extremes are the median's interval of 94%
_READY_S = 15.0

Attach = Callable[[], AbstractContextManager[Sequence[int]]]
# Programs that do nothing, at the hooks of built-in probes: the lower limit for any probe.
EMPTY: dict[str, tuple[str, ...]] = {
    "nothing, at sys_exit": ("tp_btf:sys_exit",),
    "nothing, at sys_enter and sys_exit": ("tp_btf:sys_enter", "tp_btf:sys_exit"),
    "nothing, at the tracepoints of write": (
        "tracepoint:syscalls:sys_enter_write",
        "tracepoint:syscalls:sys_exit_write",
    ),
    "nothing, at sched_switch": ("tp_btf:sched_switch",),
    "nothing, at sched_wakeup and sched_switch": ("tp_btf:sched_wakeup", "tp_btf:sched_switch"),
    "nothing, at block_rq_issue and complete": (
        "tp_btf:block_rq_issue",
        "tp_btf:block_rq_complete",
    ),
    "nothing, at irq_handler_entry and exit": (
        "tp_btf:irq_handler_entry",
        "tp_btf:irq_handler_exit",
    ),
}


def costs(kinds: Iterable[str] = LOADS) -> dict[str, float]:
    """Return the current CPU time per event of each load, in ns.

    The load has a CPU to itself as far as possible; other tasks there are not in its time.
    """
    return {kind: _run(kind)["load_cpu_s"] / LOADS[kind] * 1e9 for kind in kinds}


def _run(kind: str) -> dict[str, float]:
    return Load(LOADS[kind], kind, cpu=max(os.sched_getaffinity(0))).run()


def bpf_ns(pids: Sequence[int], kind: str) -> float:
    """Return the kernel's own figure: BPF time per event of a load, in programs of `pids`."""
    switch = syscalls.enable_stats()
    try:
        before = _run_time_ns(pids)
        _run(kind)
        return max(0, _run_time_ns(pids) - before) / LOADS[kind]
    finally:
        os.close(switch)


def _run_time_ns(pids: Sequence[int]) -> int:
    programs: dict[int, int] = {}
    for pid in pids:
        with suppress(FileNotFoundError, ProcessLookupError):
            for path in Path(f"/proc/{pid}/fdinfo").iterdir():
                with suppress(FileNotFoundError):
                    facts = dict(re.findall(r"^(\w+):\s+(\d+)$", path.read_text(), re.MULTILINE))
                    if "run_time_ns" in facts:
                        programs[int(facts["prog_id"])] = int(facts["run_time_ns"])
    return sum(programs.values())


class Felt:
    """The slow-down of some loads by one attached tool, in pairs; and its BPF time.

    The kernel's statistics cost time themselves: they are off while a load is timed.
    """

    def __init__(self, attach: Attach, kinds: Iterable[str] = LOADS) -> None:
        self._attach = attach
        self._kinds = tuple(kinds)
        self.pairs: dict[str, list[Pair]] = defaultdict(list)
        self.bpf_ns: dict[str, list[float]] = defaultdict(list)

    def measure(self, rounds: int = 1) -> None:
        """Measure some more rounds. Raises the errors of attaching."""
        for found in pairs(partial(costs, self._kinds), self._attach, rounds, self._count):
            for kind, pair in found.items():
                self.pairs[kind].append(pair)

    def _count(self, pids: Sequence[int]) -> None:
        for kind in self._kinds:
            self.bpf_ns[kind].append(bpf_ns(pids, kind))


@contextmanager
def _attached(probe: str | None = None, **options: Any) -> Iterator[Sequence[int]]:
    agent = default_session().agent.pid
    with kernelscope.start(probe, duration="inf", **options):
        children = Path(f"/proc/{agent}/task/{agent}/children").read_text()
        yield [int(child) for child in children.split()]


def _doing_nothing(hooks: Iterable[str]) -> Attach:
    names = {f"at_{number}": hook for number, hook in enumerate(hooks)}
    source = "".join(f"int {name}(void *ctx) {{ return 0; }}\n" for name in names)
    attach = {hook: name for name, hook in names.items()}
    return partial(_attached, source=source, attach=attach)


def all_probes(names: Sequence[str] | None, rounds: int) -> dict[str, Any]:
    """Every probe that this machine can run, or some, and programs that do nothing."""
    default_session().agent.pid  # noqa: B018  started now
    todo: dict[str, Attach] = {name: _doing_nothing(hooks) for name, hooks in EMPTY.items()}
    todo |= {
        name: partial(_attached, name, **_NEEDED.get(name, {}))
        for name in names or catalogue.names()
    }
    seen: dict[str, Any] = {}
    for name, attach in todo.items():
        felt = Felt(attach)
        with suppress(KernelScopeError):  # this kernel lacks its hooks
            felt.measure(rounds)
            ratios = {kind: [pair.ratio for pair in found] for kind, found in felt.pairs.items()}
            seen[name] = {"ratio": ratios, "bpf_ns": felt.bpf_ns}
    return seen


# Parameters that a probe requires.
_NEEDED: dict[str, dict[str, str]] = {
    name: {"function": "c:malloc"}
    for name in ("argdist", "funccount", "funclatency", "stackcount", "trace")
}


def probes(form: Form) -> list[Figure]:
    """Every built-in probe that this machine can run, tracing the whole machine."""
    rounds = FULL_ROUNDS if form.full else SHORT_ROUNDS
    seen = case("probes", names=None if form.full else list(QUESTIONS)[:4], rounds=rounds)
    measures = {"ratio": "times as slow", "bpf_ns": "BPF ns per event"}
    return [
        Figure(name, f"{kind}: {measure}", KERNELSCOPE, value)
        for name, found in seen.items()
        for key, measure in measures.items()
        for kind in LOADS
        for value in found[key][kind]
    ]


def measure(form: Form) -> list[Figure]:
    """The same question with a probe, bcc's tool and bpftrace, in turns."""
    try:
        chosen = list(QUESTIONS) if form.full else list(QUESTIONS)[:2]
        rounds = FULL_ROUNDS if form.full else SHORT_ROUNDS
        return [figure for name in chosen for figure in _asked(name, rounds)]
    finally:
        default_session().close()


def _asked(name: str, rounds: int) -> Iterator[Figure]:
    kind, tool, text = QUESTIONS[name]
    ways: Mapping[str, Attach] = {
        KERNELSCOPE: partial(_attached, name),
        BCC: partial(_bcc_tool, tool),
        BPFTRACE: partial(_bt, text),
    }
    seen = {who: Felt(attach, [kind]) for who, attach in ways.items()}
    for _ in range(rounds):
        for who in list(seen):
            try:
                seen[who].measure()
            except RuntimeError:  # the table has no figure, and the page explains why
                del seen[who]
    row = f"{name}: {kind}"
    # Most interrupts of a read are not in its own time: the difference is shown, not compared.
    added = "ns added to an event" if kind != "reads" else "ns added to a read's own time"
    for who, felt in seen.items():
        for pair in felt.pairs[kind]:
            yield Figure(row, added, who, pair.added)
        for value in felt.bpf_ns[kind]:
            yield Figure(row, "BPF ns per event", who, value)
    hooks = [hook.any_of[0] for hook in catalogue.find(name).hooks]
    floor = Felt(_doing_nothing(hooks), [kind])
    floor.measure(rounds)
    for value in floor.bpf_ns[kind]:
        yield Figure(row, FLOOR, KERNELSCOPE, value)


FLOOR = "BPF ns per event: programs that do nothing there"


@contextmanager
def _bcc_tool(command: Any) -> Iterator[Sequence[int]]:
    """Run a tool of the distribution. Raises RuntimeError if it does not attach."""
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
        yield [process.pid]
    finally:
        process.send_signal(signal.SIGINT)
        with suppress(subprocess.TimeoutExpired):
            process.wait(5)
        process.kill()
        process.wait()
        process.stdout.close()


@contextmanager
def _bt(text: Any) -> Iterator[Sequence[int]]:
    process = bpftrace.started(bpftrace.saying(text))
    bpftrace.wait_attached(process)
    try:
        yield [process.pid]
    finally:
        bpftrace.end(process)
