"""The display during a run, and that it disappears afterwards."""

from __future__ import annotations

import io
import math

import pytest

from kernelscope.ui import progress


class Shower:
    def __init__(self) -> None:
        self.shown: list[str] = []
        self.cleared = 0

    def show(self, text: str) -> None:
        self.shown.append(text)

    def clear(self, _summary: str) -> None:
        self.cleared += 1


@pytest.mark.parametrize(
    ("state", "text"),
    [
        ((0.0, 10.0, 0, 0), "compiling and attaching, 0 s"),
        ((2.5, 10.0, 0, 0), "8 s left"),
        ((2.5, 10.0, 12345, 0), "8 s left · 12,345 events"),
        ((2.5, 10.0, 12345, 7), "8 s left · 12,345 events · 7 LOST"),
        ((90.0, math.inf, 5, 0), "90 s, until stopped · 5 events"),
        ((10.2, 10.0, 5, 0), "reading the last events · 5 events"),
    ],
)
def test_the_line_tells_time_left_events_and_losses(state, text):
    assert progress.line(*state) == text


def test_a_run_that_is_soon_over_shows_nothing(monkeypatch):
    shower = Shower()
    made = progress.Progress(shower)

    made.update(0.1, 0.3, 0, 0)
    made.clear(2.0)

    assert shower.shown == []
    assert shower.cleared == 0


def test_updates_are_limited_and_the_display_is_cleared(monkeypatch):
    now = [100.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: now[0])  # type: ignore[attr-defined]
    shower = Shower()
    made = progress.Progress(shower)
    for _ in range(20):  # two seconds
        now[0] += 0.1
        made.update(now[0] - 100, 10.0, 0, 0)
    made.clear(2.0)

    assert 4 <= len(shower.shown) <= 8
    assert shower.cleared == 1


def test_a_terminals_line_is_overwritten_and_erased():
    stream = io.StringIO()
    terminal = progress._Terminal(stream)

    terminal.show("5 s left")
    terminal.clear("traced for 5.0 s")

    assert stream.getvalue() == "\r\x1b[K5 s left\r\x1b[K"


def test_a_pipe_gets_no_progress(monkeypatch):
    monkeypatch.setattr(progress.sys, "stderr", io.StringIO())  # type: ignore[attr-defined]

    assert progress._default_display() is None


def test_a_run_that_is_not_attached_shows_how_long_it_takes() -> None:
    assert progress.line(0.0, 10.0, 0, 0, waited_s=8.2) == "compiling and attaching, 8 s"
