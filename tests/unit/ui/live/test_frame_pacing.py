"""When frames are drawn, and which are dropped. Time is simulated."""

from __future__ import annotations

import threading

from kernelscope.ui.live.draw_loop import DrawLoop
from kernelscope.ui.live.frame_pacing import GROUP, FramePacer


def run(
    pacer: FramePacer,
    seconds: float,
    cpu_s: float = 0.01,
    answers: bool = False,
    since: float = 100.0,
) -> int:
    """Simulate time in steps of 5 ms; return the number of frames drawn."""
    drawn, now, end = 0, since, since + seconds
    while now < end:
        if pacer.seconds_left(now) <= 0 and pacer.allows(now):
            pacer.drawn(now, now + cpu_s, cpu_s)
            drawn += 1
            if answers:
                pacer.answered(pacer.group, now)
        now += 0.005
    return drawn


def test_draws_at_the_requested_rate():
    pacer = FramePacer(10)

    assert run(pacer, 10) in (100, 101)
    assert 9.5 < pacer.rate(110) <= 10.5
    assert pacer.dropped == 0


def test_draws_expensive_frames_within_the_cpu_budget():
    pacer = FramePacer(10, share=0.3)

    assert 14 <= run(pacer, 10, cpu_s=0.2) <= 16


def test_sends_few_frames_to_a_page_that_stopped_answering():
    pacer = FramePacer(10)
    run(pacer, 2, answers=True)
    before, dropped = pacer.frames, pacer.dropped

    run(pacer, 10, since=102)
    assert pacer.frames - before <= 4 * GROUP
    assert pacer.dropped > dropped + 50


def test_does_not_wait_for_a_page_that_never_answered():
    assert run(FramePacer(10), 5) >= 50


def test_sends_all_frames_to_a_page_that_answers_again():
    pacer = FramePacer(10)
    run(pacer, 2, answers=True)
    run(pacer, 10, since=102)

    pacer.answered(pacer.group, 112)
    assert run(pacer, 3, answers=True, since=112) >= 29


def test_reports_its_rate_where_no_frame_changes():
    pacer, now = FramePacer(10), 100.0
    while now < 110:
        if pacer.seconds_left(now) <= 0 and pacer.allows(now):
            pacer.skipped(now)
        now += 0.005

    assert 9 < pacer.rate(110) <= 10.5
    assert pacer.frames == 0


class TestLoop:
    def test_reports_a_failed_frame_and_continues(self):
        errors, reported = [], threading.Event()  # type: ignore[var-annotated]

        def draw(_now: float) -> bool:
            raise ValueError("no such colour")

        loop = DrawLoop(FramePacer(10), draw, lambda _now: reported.set(), errors.append)
        loop._ended.clear()
        loop.start()
        try:
            while not errors:
                loop._thread.join(0.01)
        finally:
            loop.stop()

        assert str(errors[0]) == "no such colour"

    def test_starts_again_after_a_stop(self):
        drawn = threading.Semaphore(0)

        def draw(_now: float) -> bool:
            drawn.release()
            return True

        loop = DrawLoop(FramePacer(30), draw, lambda _now: None, lambda _error: None)
        for _ in range(2):
            loop.start()
            assert drawn.acquire(timeout=10)
            loop.stop()
            loop._thread.join(10)
            assert not loop._thread.is_alive()

    def test_reports_without_drawing_while_paused(self):
        drawn, reported = [], threading.Semaphore(0)
        loop = DrawLoop(
            FramePacer(30),
            lambda now: bool(drawn.append(now)),  # type: ignore[func-returns-value]
            lambda _now: reported.release(),
            lambda _error: None,
        )
        loop.paused = True
        loop.start()
        assert reported.acquire(timeout=10)
        assert reported.acquire(timeout=10)
        loop.stop()

        assert drawn == []
