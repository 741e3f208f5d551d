"""When frames are drawn, and which are dropped. Time is given, not measured."""

from __future__ import annotations

import threading

from kernelscope.ui.live.draw_loop import Loop
from kernelscope.ui.live.frame_pacing import GROUP, Pace


def run(
    pace: Pace, seconds: float, cpu_s: float = 0.01, answers: bool = False, since: float = 100.0
) -> int:
    """Let time go on in steps of 5 ms; returns how many frames were drawn."""
    drawn, now, end = 0, since, since + seconds
    while now < end:
        if pace.wait(now) <= 0 and pace.allows(now):
            pace.drew(now, now + cpu_s, cpu_s)
            drawn += 1
            if answers:
                pace.answered(pace.group, now)
        now += 0.005
    return drawn


def test_it_keeps_the_beat_that_was_asked_for():
    pace = Pace(10)

    assert run(pace, 10) in (100, 101)
    assert 9.5 < pace.reached(110) <= 10.5
    assert pace.dropped == 0


def test_an_expensive_frame_is_drawn_as_often_as_its_share_of_the_processor_allows():
    pace = Pace(10, share=0.3)

    assert 14 <= run(pace, 10, cpu_s=0.2) <= 16


def test_a_page_that_does_not_answer_any_more_is_sent_almost_nothing():
    pace = Pace(10)
    run(pace, 2, answers=True)
    before, dropped = pace.frames, pace.dropped

    run(pace, 10, since=102)
    assert pace.frames - before <= 4 * GROUP
    assert pace.dropped > dropped + 50


def test_a_page_that_never_answered_is_not_waited_for():
    assert run(Pace(10), 5) >= 50


def test_a_page_that_answers_again_gets_all_frames_again():
    pace = Pace(10)
    run(pace, 2, answers=True)
    run(pace, 10, since=102)

    pace.answered(pace.group, 112)
    assert run(pace, 3, answers=True, since=112) >= 29


class TestLoop:
    def test_a_frame_that_fails_is_told_and_does_not_end_the_view(self):
        told, reported = [], threading.Event()

        def draw(_now: float) -> bool:
            raise ValueError("no such colour")

        loop = Loop(Pace(10), draw, lambda _now: reported.set(), told.append)
        loop._over.clear()
        loop.begin()
        try:
            while not told:
                loop._thread.join(0.01)
        finally:
            loop.end()

        assert str(told[0]) == "no such colour"

    def test_it_can_begin_again(self):
        drawn = threading.Semaphore(0)

        def draw(_now: float) -> bool:
            drawn.release()
            return True

        loop = Loop(Pace(30), draw, lambda _now: None, lambda _error: None)
        for _ in range(2):
            loop.begin()
            assert drawn.acquire(timeout=10)
            loop.end()
            loop._thread.join(10)
            assert not loop._thread.is_alive()

    def test_a_paused_view_draws_nothing_and_still_reports(self):
        drawn, reported = [], threading.Semaphore(0)
        loop = Loop(
            Pace(30),
            lambda now: bool(drawn.append(now)),
            lambda _now: reported.release(),
            lambda _error: None,
        )
        loop.paused = True
        loop.begin()
        assert reported.acquire(timeout=10)
        assert reported.acquire(timeout=10)
        loop.end()

        assert drawn == []
