"""A run whose client is gone before it is attached ends at once, whatever it was doing."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from kernelscope.protocol.program import Program
from kernelscope.tracing.agent_client import Agent

pytestmark = pytest.mark.kernel

# Each macro doubles the one before: clang needs minutes for the text, and gigabytes.
_LONG_TO_COMPILE = "\n".join(
    ["#define A0(x) x + x", *(f"#define A{n}(x) A{n - 1}(x) + A{n - 1}(x)" for n in range(1, 26))]
)
# The verifier walks through every iteration: about a million instructions.
_LONG_TO_LOAD = """
BPF_HASH(h, u32, u64);
TRACEPOINT_PROBE(syscalls, sys_enter_getpgid) {
    u64 sum = 0;
    #pragma clang loop unroll(disable)
    for (u32 i = 0; i < 200000; i++) { sum += i ^ (sum >> 3); asm volatile("" : "+r"(sum)); }
    h.update(&(u32){0}, &sum);
    return 0;
}
"""
SOURCES = {
    "compiling": f"{_LONG_TO_COMPILE}\nint f(void *ctx) {{ return A25(1); }}",
    "loading": _LONG_TO_LOAD,
}


@pytest.fixture
def agent() -> Iterator[Agent]:
    with Agent.start() as made:
        yield made


def descendants(pid: int) -> list[int]:
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    found = [int(child) for child in children]
    return found + [each for child in found for each in descendants(child)]


@pytest.mark.parametrize("source", SOURCES.values(), ids=SOURCES)
def test_its_processes_end_with_the_client(agent: Agent, source: str) -> None:
    channel = agent.run(Program("test", source, duration_ns=0))
    time.sleep(0.5)
    assert descendants(agent.pid), "it ended before the client did"
    closed = time.monotonic()
    channel.close()
    while descendants(agent.pid):
        assert time.monotonic() < closed + 1.0
        time.sleep(0.005)
    assert agent.check(["tracepoint:sched:sched_switch"]) == {"tracepoint:sched:sched_switch": None}
