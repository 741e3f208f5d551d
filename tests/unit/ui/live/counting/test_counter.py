"""A run's batches, counted as they come, with an agent that only plays frames back."""

from __future__ import annotations

import dataclasses
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

from kernelscope.probe.model import Column, Plot
from kernelscope.ui.live.counting.aggregate import shape_of
from kernelscope.ui.live.counting.counter import Engine
from kernelscope.ui.live.tracer import Tracer
from kernelscope.ui.live.views import chosen, offered

EVENTS_C = "BPF_RINGBUF_OUTPUT(events, 8);"
COUNTS_C = "BPF_HASH(counts, u32);"
OFFSET_NS = CLOCK["realtime_ns"] - CLOCK["monotonic_ns"]


def engine_of(*frames, source=EVENTS_C, layout=EVENTS, plots=()):
    channel = FakeChannel([attached(layout)], held=True)
    run = session(channel).start(source=source)
    made = Engine(run, plots)
    made.begin()
    for frame in frames:
        channel.give(frame)
    run.stop()
    made.wait(10)
    assert made.error is None
    return made


def now_ns() -> int:
    """Now, on the clock of the run that is played back."""
    return time.time_ns() - OFFSET_NS


def test_records_are_counted_by_time_and_by_name():
    made = engine_of(events((7, 100), (7, 300)), events((8, 5)))
    reducer = made.reducers["events"]

    assert made.events == made.counted == 3
    assert reducer.tops["pid"].largest(2)[0] == [("7", 2), ("8", 1)]
    assert reducer.window.events.sum() == 3


def test_values_are_counted_where_a_plot_asks_for_them():
    made = engine_of(
        events((7, 100), (7, 3000)), plots=[Plot("histogram", table="events", x="size_bytes")]
    )
    reducer = made.reducers["events"]
    slots = reducer.grid.place(np.array([100.0, 3000.0]))

    assert reducer.window.total(600).nonzero()[0].tolist() == sorted(slots.tolist())


def test_of_a_map_what_is_new_in_a_reading_counts():
    at = now_ns()
    made = engine_of(
        counts({1: 10, 2: 5}, at_ns=at, final=False),
        counts({1: 12, 2: 5, 3: 1}, at_ns=at + 10**8, final=False),
        source=COUNTS_C,
        layout=COUNTS,
    )
    reducer = made.reducers["counts"]

    assert made.counted == 18
    assert made.readings == 2
    assert reducer.tops["key"].largest(3)[0] == [("1", 12), ("2", 5), ("3", 1)]


def test_an_entry_that_was_taken_out_and_begun_again_counts_from_0():
    at = now_ns()
    made = engine_of(
        counts({1: 10}, at_ns=at, final=False),
        counts({1: 3}, at_ns=at + 10**8, final=False),
        source=COUNTS_C,
        layout=COUNTS,
    )

    assert made.reducers["counts"].tops["key"].largest(1)[0] == [("1", 13)]


def test_a_cleared_map_counts_on_from_what_it_has():
    channel = FakeChannel([attached(COUNTS)], held=True)
    run = session(channel).start(source=COUNTS_C)
    made = Engine(run)
    made.begin()
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
    assert made.reducers["counts"].tops["key"].largest(1)[0] == [("1", 4)]


def test_the_raw_records_that_are_kept_are_bounded_while_all_are_counted():
    channel = FakeChannel([attached(EVENTS)], held=True)
    made = session(channel)
    asked = made.request(None, EVENTS_C, {})
    run = made.submit(dataclasses.replace(asked, max_bytes=100_000))
    engine = Engine(run)
    engine.begin()
    for _ in range(53):
        channel.give(events(*[(1, 2)] * 1009))
    run.stop()
    engine.wait(10)

    assert engine.counted == 53 * 1009
    assert run.stream.collector.rows("events") < 8 * 1009
    assert run.lost["dropped_rows"] > 0


class TestTracer:
    def test_a_map_is_read_again_and_again(self):
        channel = FakeChannel([attached(COUNTS)], held=True)
        channel.on_snapshot = counts({1: 3}, at_ns=now_ns(), final=False)
        made = session(channel)
        tracer = Tracer(made, "cell", run=made.start(source=COUNTS_C))
        try:
            while channel.snapshots < 3:
                time.sleep(0.001)
        finally:
            tracer.close()

        assert tracer.state == "stopped"

    def test_what_goes_wrong_is_kept_as_text(self):
        tracer = Tracer(session(), "runqlat", {"by": "colour"})
        tracer.start()
        while tracer.state == "starting":
            time.sleep(0.001)

        assert tracer.state == "failed"
        assert "--by colour" in tracer.problem

    def test_a_stop_while_it_starts_is_not_overtaken(self):
        tracer = Tracer(session(), "runqlat", {"by": "colour"})
        tracer.start()
        tracer.stop()

        assert tracer.state in ("stopped", "failed")
        assert tracer.state != "starting"


class TestChoice:
    COLUMNS = (
        Column("comm", "text", "key.comm"),
        Column("latency_us", "slot", "key.slot", "us", scale=0.001),
        Column("count", "count", "value"),
    )
    PLOTS = (Plot("heatmap", table="waits", y="latency_us", title="Waits over time"),)

    def views(self, plots=PLOTS):
        return offered({"waits": shape_of("waits", self.COLUMNS, plots, is_map=True)}, plots)

    def test_the_descriptions_view_comes_first(self):
        first = self.views()[0]

        assert (first.kind, first.title) == ("heatmap", "Waits over time")

    def test_each_view_is_offered_once(self):
        kinds = [view.kind for view in self.views()]

        assert sorted(kinds) == [
            "bars", "distribution", "heatmap", "percentiles", "table", "throughput",
        ]  # fmt: skip
        assert [view.title for view in self.views() if view.kind == "distribution"] == ["Waits"]

    def test_a_kind_is_chosen_by_name(self):
        assert chosen(self.views(), "bars").label == "comm"
