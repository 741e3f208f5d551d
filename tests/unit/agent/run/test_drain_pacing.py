"""When a ring is drained again: at the recent rate, and in time for the start of a flood."""

from __future__ import annotations

import mmap
import os
import socket
from collections.abc import Iterator
from dataclasses import dataclass, field

import pytest

from kernelscope.agent.compile.compiler import Compiler
from kernelscope.agent.run.drain_pacing import SLOWEST_TICK_S, Pace
from kernelscope.agent.run.limits import Limits
from kernelscope.agent.run.run import Machine, Run
from kernelscope.protocol.program import Program

MIB = 1 << 20
LONG_S = 3600.0  # a wait of that length would not end by itself


def test_ring_is_drained_when_an_eighth_is_full() -> None:
    pace = Pace(16 * MIB, 48)
    assert pace.after(10 * MIB, 0.1) == pytest.approx(2 / 100)
    assert pace.is_filling(2 * MIB)
    assert not pace.is_filling(2 * MIB - 1)


def test_one_empty_drain_does_not_end_a_burst() -> None:
    pace = Pace(16 * MIB, 264)
    flood = pace.after(4 * MIB, 0.01)
    assert pace.after(0, 0.001) < 1.01 * flood
    for _ in range(20):
        calm = pace.after(0, 0.05)
    assert calm == SLOWEST_TICK_S


@pytest.mark.parametrize(("record", "looks"), [(48, False), (264, True), (0, True)])
def test_burst_is_noticed_before_it_fills_the_ring(record: int, looks: bool) -> None:
    pace = Pace(16 * MIB, record)
    assert (record or 256) * 3_000_000 * pace.look_s < 16 * MIB
    assert (pace.look_s < SLOWEST_TICK_S) is looks


@dataclass
class Rings:
    """What a run asks of its reading while it waits. filling: the answers, the last for ever."""

    filling: list[bool]
    quiet: list[int] = field(default_factory=list)
    look_s: float = 0.001
    asked: int = 0

    def quiet_rings(self) -> list[int]:
        return self.quiet

    def is_filling(self) -> bool:
        self.asked += 1
        return self.filling[min(self.asked, len(self.filling)) - 1]


def _no_compiler() -> Compiler:
    raise AssertionError("a test of waiting compiles nothing")


@pytest.fixture
def client() -> Iterator[tuple[Run, socket.socket]]:
    ours, theirs = socket.socketpair()
    machine = Machine(_no_compiler, None, Limits(LONG_S))
    with ours, theirs:
        yield (
            Run(Program("test", ""), theirs, machine, mmap.mmap(-1, mmap.PAGESIZE)),
            ours,
        )


def test_filling_ring_ends_the_wait(client: tuple[Run, socket.socket]) -> None:
    run, _ = client
    run.reader = rings = Rings([False, False, True])  # type: ignore[assignment]
    assert run._wait(LONG_S, LONG_S)
    assert rings.asked == 3


def test_quiet_ring_is_not_checked_before_a_record_arrives(
    client: tuple[Run, socket.socket],
) -> None:
    run, _ = client
    ready, wake = os.pipe()
    run.reader = rings = Rings([True], quiet=[ready])  # type: ignore[assignment]
    assert run._wait(0.03, LONG_S)
    assert rings.asked == 0
    os.write(wake, b"x")
    assert run._wait(LONG_S, LONG_S)
    assert rings.asked == 1
    os.close(ready)
    os.close(wake)


def test_wait_ends_at_its_timeout_and_at_stop(
    client: tuple[Run, socket.socket],
) -> None:
    run, ours = client
    run.reader = Rings([False])  # type: ignore[assignment]
    assert run._wait(0.02, LONG_S)
    assert run._wait(LONG_S, 0.02)
    ours.sendall(b'{"type":"stop"}\n')
    assert not run._wait(LONG_S, LONG_S)
