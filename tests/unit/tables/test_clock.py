"""Event times follow the time of day when somebody sets the clock or the machine sleeps."""

from __future__ import annotations

import numpy as np
from unit.builders.collectors import filled
from unit.builders.raw_frames import EVENT, event, ring_batch

from kernelscope.probe.model import Column, TableSpec
from kernelscope.protocol.frames import Frame
from kernelscope.tables.clock import WallClock

SECOND = 10**9


def pair(monotonic_s: int, realtime_s: int) -> dict[str, int]:
    return {"monotonic_ns": monotonic_s * SECOND, "realtime_ns": realtime_s * SECOND}


def test_each_time_takes_the_clocks_read_before_it() -> None:
    clock = WallClock.of(pair(10, 1_000))
    clock.add(pair(20, 1_010))
    clock.add(pair(30, 4_620))  # an hour of sleep before

    assert clock.wall_ns(np.array([5, 25, 31]) * SECOND).tolist() == [
        995 * SECOND,
        1_015 * SECOND,
        4_621 * SECOND,
    ]


def test_drift_does_not_change_differences_of_times() -> None:
    clock = WallClock.of(pair(10, 1_000))
    for second in range(11, 60):
        clock.add({"monotonic_ns": second * SECOND, "realtime_ns": (second + 990) * SECOND + 5_000})

    times = clock.wall_ns(np.arange(10, 60) * SECOND)

    assert set(np.diff(times).tolist()) == {SECOND}


def test_a_status_with_clocks_corrects_the_times_of_a_table() -> None:
    spec = TableSpec("events", "events", (Column("time", "time", "ts"),))
    step = Frame({"type": "status", "clock": pair(40, 1_700_003_640)})
    batch = ring_batch([event(41 * SECOND, 1, 2, b"x")], 40)
    made = filled(EVENT, frames=[step, batch], specs=[spec])

    assert made.tables()["events"]["time"].iloc[0].timestamp() == 1_700_003_641
