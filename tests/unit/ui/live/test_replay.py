"""Recordings in a live view: replayed at their original speed, on their original clock."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

import kernelscope
from kernelscope.errors import ParameterError
from kernelscope.tracing.replay import PacedReplay
from kernelscope.tracing.run import Run
from kernelscope.tracing.session import Session
from kernelscope.ui.live import open
from kernelscope.ui.live.counting.counter import RunCounter
from kernelscope.ui.live.tracer import Tracer

RECORDINGS = Path(__file__).parents[4] / "notebooks" / "recordings"
FILE = RECORDINGS / "tcplife.ksr"
RECORDED_S = 2.8  # at least, between its start and its last batch


def begun(speed: float) -> Run:
    paced = PacedReplay(FILE, speed)
    return Run(paced, paced.request, recorded=True).wait_attached()


def test_replays_at_the_requested_speed():
    before = time.monotonic()
    frame = begun(10).result()

    assert time.monotonic() - before >= RECORDED_S / 10
    assert len(frame) == len(kernelscope.open(FILE)) > 0


def test_uses_the_recordings_clock():
    run = begun(1000)
    run.wait()
    frame = run.result()
    late = run.stream.now_ns() - frame["time"].astype("int64").max()

    assert 0 <= late < 3e9


def test_returns_what_was_shown_when_stopped():
    run = begun(0.01)
    run.stop()

    assert run.wait(10)
    assert len(run.result()) < len(kernelscope.open(FILE))


def test_places_events_at_their_original_times():
    run = begun(1000)
    counter = RunCounter(run, window_s=60)
    counter.start()
    counter.wait(10)
    counter.advance()
    aggregate = counter.aggregates[run.stream.names[0]]
    whole = len(kernelscope.open(FILE))

    assert counter.error is None
    assert counter.counted == whole
    events, _, _ = aggregate.window.columns(10, 10)
    assert events.sum() == whole
    assert (events > 0).sum() >= 3  # of ten, the seconds that the recording lasted


def test_starts_a_recording_again():
    with Session() as session:
        tracer = Tracer(session, "tcplife", open_run=lambda: begun(1000))
        for _ in range(2):
            tracer.start()
            run = tracer.run
            while tracer.run in (None, run) or tracer.state != "ended":
                time.sleep(0.01)
            assert tracer.counter.error is None
            tracer.counter.wait(10)
            assert tracer.counter.counted == len(kernelscope.open(FILE))


@pytest.mark.parametrize("line", [f"{FILE} opensnoop", f"{FILE} --pid 1", f"{FILE} --speed 0"])
def test_refuses_other_probes_and_options_with_a_recording(line, monkeypatch):
    monkeypatch.setattr(open, "_require_notebook", lambda: None)
    with Session() as session, pytest.raises(ParameterError):
        open.from_line(line, session, {})
