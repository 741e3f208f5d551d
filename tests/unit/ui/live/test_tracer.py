"""A probe of a live view: started, stopped, and its errors kept."""

from __future__ import annotations

import time

from unit.builders.fake_agent import (
    CLOCK,
    COUNTS,
    FakeChannel,
    attached,
    counts,
    session,
)

from kernelscope.ui.live.tracer import Tracer

COUNTS_C = "BPF_HASH(counts, u32);"
OFFSET_NS = CLOCK["realtime_ns"] - CLOCK["monotonic_ns"]


def now_ns() -> int:
    """Return the time on the clock of the run that is played back."""
    return time.time_ns() - OFFSET_NS


class TestTracer:
    def test_reads_maps_repeatedly(self):
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

    def test_keeps_an_error_as_text(self):
        tracer = Tracer(session(), "runqlat", {"by": "colour"})
        tracer.start()
        while tracer.state == "starting":
            time.sleep(0.001)

        assert tracer.state == "failed"
        assert "--by colour" in tracer.problem

    def test_stops_while_it_starts(self):
        tracer = Tracer(session(), "runqlat", {"by": "colour"})
        tracer.start()
        tracer.stop()

        assert tracer.state in ("stopped", "failed")
        assert tracer.state != "starting"
