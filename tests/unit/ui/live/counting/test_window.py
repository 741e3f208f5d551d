"""Counts in bins of time and value, up to ten minutes back."""

from __future__ import annotations

import numpy as np

from kernelscope.ui.live.counting.window import BIN_NS, BINS, Window

SECOND = 10**9
NOW = 1_700_000_000 * SECOND


def at(*seconds: float) -> np.ndarray:
    return np.array([NOW + round(each * SECOND) for each in seconds])


class TestWindow:
    def test_counts_events_until_they_leave_the_window(self):
        window = Window(8)
        window.advance(NOW)
        window.add(at(0, 1, 1.1), np.array([1, 2, 2]))

        assert window.total(10).tolist() == [0, 1, 2, 0, 0, 0, 0, 0]
        window.advance(NOW + 10 * SECOND)
        assert window.total(10).tolist() == [0, 0, 2, 0, 0, 0, 0, 0]
        window.advance(NOW + 700 * SECOND)
        assert window.total(600).sum() == 0

    def test_counts_a_late_event_at_its_own_time(self):
        window = Window()
        window.advance(NOW)
        window.advance(NOW + 20 * SECOND)
        window.add(at(5), None)
        events, _, _ = window.columns(20, 20)

        assert events.sum() == 1
        assert events[-1] == 0

    def test_moves_by_whole_columns(self):
        window = Window()
        window.advance(NOW)
        window.add(at(*np.arange(0, 50, 0.5)), None)
        window.advance(NOW + 50 * SECOND)
        before, _, _ = window.columns(600, 60)
        window.advance(NOW + 110 * SECOND)
        after, _, _ = window.columns(600, 60)
        moved = 60 * SECOND // BIN_NS // (BINS // 60)

        assert after[:-moved].tolist() == before[moved:].tolist()
        assert after.sum() == 100

    def test_spreads_a_reading_over_its_time(self):
        window = Window(2)
        window.advance(NOW - 10 * SECOND)
        window.spread(np.array([8.0, 0.0]), 8, NOW, NOW + SECOND)
        rows = np.arange(NOW // BIN_NS, (NOW + SECOND) // BIN_NS) % BINS

        assert window.events[rows].tolist() == [2, 2, 2, 2]
        assert window.counts[rows, 0].tolist() == [2, 2, 2, 2]

    def test_forgets_everything_on_clear(self):
        window = Window(2)
        window.add(at(0), np.array([1]))
        window.clear(NOW + SECOND)

        assert window.total(600).sum() == 0
        assert window.columns(600, 10)[2].sum() == 1

    def test_takes_the_same_memory_for_ten_minutes_of_a_flood(self):
        window = Window(496)
        before = window.counts.nbytes + window.events.nbytes
        for second in range(0, 600, 7):
            times = np.full(100_003, NOW + second * SECOND)
            window.add(times, np.arange(100_003) % 496)

        assert window.counts.nbytes + window.events.nbytes == before < 6 << 20
        assert window.total(600).sum() == 100_003 * len(range(0, 600, 7))
