"""A run's batches are counted as they arrive; the agent here only plays back frames."""

from __future__ import annotations

import threading
import time

import numpy as np
from unit.builders.fake_agent import (
    CLOCK,
    COUNTS,
    EVENTS,
    FakeChannel,
    attached,
    counts,
    events,
    session,
)

from kernelscope.probe.model import Plot
from kernelscope.ui.live.counting.counter import RunCounter
from kernelscope.ui.live.counting.shape import Grouping

EVENTS_C = "BPF_RINGBUF_OUTPUT(events, 8);"
COUNTS_C = "BPF_HASH(counts, u32);"
OFFSET_NS = CLOCK["realtime_ns"] - CLOCK["monotonic_ns"]


def counter_of(*frames, source=EVENTS_C, layout=EVENTS, plots=()):
    channel = FakeChannel([attached(layout)], held=True)
    run = session(channel).start(source=source)
    made = RunCounter(run, plots)
    made.start()
    for frame in frames:
        channel.give(frame)
    run.stop()
    made.wait(10)
    assert made.error is None
    return made


def now_ns() -> int:
    """Return the time on the clock of the run that is played back."""
    return time.time_ns() - OFFSET_NS


def test_counts_records_by_time_and_by_name():
    made = counter_of(events((7, 100), (7, 300)), events((8, 5)))
    aggregate = made.aggregates["events"]

    assert made.events == made.counted == 3
    assert aggregate.tops[Grouping("pid")].largest(2)[0] == [("7", 2), ("8", 1)]
    assert aggregate.window.events.sum() == 3


def test_counts_values_that_a_plot_shows():
    made = counter_of(
        events((7, 100), (7, 3000)), plots=[Plot("histogram", table="events", x="size_bytes")]
    )
    aggregate = made.aggregates["events"]
    slots = aggregate.grid.place(np.array([100.0, 3000.0]))

    assert aggregate.window.total(600).nonzero()[0].tolist() == sorted(slots.tolist())


def test_counts_what_is_new_in_a_reading_of_a_map():
    at = now_ns()
    made = counter_of(
        counts({1: 10, 2: 5}, at_ns=at, final=False),
        counts({1: 12, 2: 5, 3: 1}, at_ns=at + 10**8, final=False),
        source=COUNTS_C,
        layout=COUNTS,
    )
    aggregate = made.aggregates["counts"]

    assert made.counted == 18
    assert made.readings == 2
    assert aggregate.tops[Grouping("key", "value")].largest(3)[0] == [("1", 12), ("2", 5), ("3", 1)]


def test_counts_an_entry_that_was_deleted_from_0():
    at = now_ns()
    made = counter_of(
        counts({1: 10}, at_ns=at, final=False),
        counts({1: 3}, at_ns=at + 10**8, final=False),
        source=COUNTS_C,
        layout=COUNTS,
    )

    assert made.aggregates["counts"].tops[Grouping("key", "value")].largest(1)[0] == [("1", 13)]


def test_counts_from_the_last_reading_after_a_reset():
    channel = FakeChannel([attached(COUNTS)], held=True)
    run = session(channel).start(source=COUNTS_C)
    made = RunCounter(run)
    made.start()
    at = now_ns()
    channel.give(counts({1: 10}, at_ns=at, final=False))
    while made.readings < 1:
        time.sleep(0.001)
    made.clear()
    channel.give(counts({1: 14}, at_ns=now_ns(), final=False))
    run.stop()
    made.wait(10)

    assert made.events == 4
    assert made.counted == 14
    assert made.aggregates["counts"].tops[Grouping("key", "value")].largest(1)[0] == [("1", 4)]


def test_waits_for_a_counter_that_is_started_later():
    channel = FakeChannel([attached(EVENTS), events((7, 100), (8, 5))], held=True)
    run = session(channel).start(source=EVENTS_C)
    made = RunCounter(run)
    run.stop()
    run.wait(10)
    threading.Timer(0.1, made.start).start()
    made.wait(10)

    assert made.counted == 2


def test_counts_all_records_while_the_kept_ones_are_bounded():
    channel = FakeChannel([attached(EVENTS)], held=True)
    made = session(channel)
    run = made.begin(made.plan(None, {}, source=EVENTS_C, max_bytes=100_000))
    counter = RunCounter(run)
    counter.start()
    for _ in range(53):
        channel.give(events(*[(1, 2)] * 1009))
    run.stop()
    counter.wait(10)

    assert counter.counted == 53 * 1009
    assert run.stream.collector.rows("events") < 8 * 1009
    assert run.lost["dropped_rows"] > 0
