"""Recordings in a live view: they go on as they did, on the clock of then."""

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
from kernelscope.ui.live.counting.counter import Engine
from kernelscope.ui.live.tracer import Tracer

RECORDINGS = Path(__file__).parents[4] / "notebooks" / "recordings"
FILE = RECORDINGS / "tcplife.ksr"
RECORDED_S = 2.8  # at least, between its beginning and its last batch


def begun(speed: float) -> Run:
    paced = PacedReplay(FILE, speed)
    return Run(paced, paced.request, recorded=True).wait_attached()


def test_a_recording_takes_the_time_that_it_took_or_a_part_of_it():
    before = time.monotonic()
    frame = begun(10).result()

    assert time.monotonic() - before >= RECORDED_S / 10
    assert len(frame) == len(kernelscope.open(FILE)) > 0


def test_its_clock_is_that_of_then():
    run = begun(1000)
    run.wait()
    frame = run.result()
    late = run.stream.now_ns() - frame["time"].astype("int64").max()

    assert 0 <= late < 3e9


def test_a_recording_that_is_stopped_gives_what_was_shown():
    run = begun(0.01)
    run.stop()

    assert run.wait(10)
    assert len(run.result()) < len(kernelscope.open(FILE))


def test_a_view_has_its_events_where_they_were_in_time():
    run = begun(1000)
    engine = Engine(run, window_s=60)
    engine.begin()
    engine.wait(10)
    engine.advance()
    reducer = engine.reducers[run.stream.names[0]]
    whole = len(kernelscope.open(FILE))

    assert engine.error is None
    assert engine.counted == whole
    events, _, _ = reducer.window.columns(10, 10)
    assert events.sum() == whole
    assert (events > 0).sum() >= 3  # of ten seconds, those that it lasted


def test_a_recording_can_be_started_again():
    with Session() as session:
        tracer = Tracer(session, "tcplife", begin=lambda: begun(1000))
        for _ in range(2):
            tracer.start()
            run = tracer.run
            while tracer.run in (None, run) or tracer.state != "ended":
                time.sleep(0.01)
            assert tracer.engine.error is None
            tracer.engine.wait(10)
            assert tracer.engine.counted == len(kernelscope.open(FILE))


@pytest.mark.parametrize("line", [f"{FILE} opensnoop", f"{FILE} --pid 1", f"{FILE} --speed 0"])
def test_a_recording_has_no_company_and_no_options(line, monkeypatch):
    monkeypatch.setattr(open, "_require_notebook", lambda: None)
    with Session() as session, pytest.raises(ParameterError):
        open.from_line(line, session, {})
