"""What a live view remembers: bins of time and value, and the largest names."""

from __future__ import annotations

import numpy as np
import pytest

from kernelscope.probe.model import Column
from kernelscope.ui.live.counting.window import BIN_NS, BINS, OTHER, Grid, Tops, Window

SECOND = 10**9
NOW = 1_700_000_000 * SECOND
LATENCY = Column("latency_us", "slot", unit="us", scale=0.001)
SIZE = Column("size_bytes", "integer", unit="bytes")


def at(*seconds: float) -> np.ndarray:
    return np.array([NOW + round(each * SECOND) for each in seconds])


class TestGrid:
    def test_a_histograms_slots_are_found_again_by_their_low_bounds(self):
        grid = Grid.of(LATENCY)
        lows = grid.edges[:400]

        assert grid.place(lows).tolist() == list(range(400))

    def test_a_value_lies_between_its_slots_edges(self):
        grid = Grid.of(SIZE)
        values = np.array([0, 1, 7, 8, 511, 512, 4097, 10**9], np.float64)
        slots = grid.place(values)

        assert (grid.edges[slots] <= values).all()
        assert (values < grid.edges[slots + 1]).all()

    def test_percentiles_have_the_bounds_of_their_slots(self):
        grid = Grid.of(SIZE)
        values = np.arange(1, 1001, dtype=np.float64)
        counts = np.bincount(grid.place(values), minlength=len(grid)).astype(np.float64)

        for percent in (50, 90, 99):
            guess, low, high = (each[0] for each in grid.percentile(counts[None, :], percent))
            assert low <= values[int(percent * 10) - 1] < high
            assert low <= guess <= high
            assert high <= 1.13 * low

    def test_nothing_has_no_percentile(self):
        found = Grid.of(SIZE).percentile(np.zeros((2, 496)), 50)

        assert np.isnan(found).all()


class TestWindow:
    def test_events_are_counted_in_the_window_and_leave_it(self):
        window = Window(8)
        window.advance(NOW)
        window.add(at(0, 1, 1.1), np.array([1, 2, 2]))

        assert window.total(10).tolist() == [0, 1, 2, 0, 0, 0, 0, 0]
        window.advance(NOW + 10 * SECOND)
        assert window.total(10).tolist() == [0, 0, 2, 0, 0, 0, 0, 0]
        window.advance(NOW + 700 * SECOND)
        assert window.total(600).sum() == 0

    def test_an_event_that_comes_late_counts_when_it_was(self):
        window = Window()
        window.advance(NOW)
        window.advance(NOW + 20 * SECOND)
        window.add(at(5), None)
        events, _, _ = window.columns(20, 20)

        assert events.sum() == 1
        assert events[-1] == 0

    def test_columns_move_as_a_whole(self):
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

    def test_what_a_reading_counted_is_spread_over_its_time(self):
        window = Window(2)
        window.advance(NOW - 10 * SECOND)
        window.spread(np.array([8.0, 0.0]), 8, NOW, NOW + SECOND)
        rows = np.arange(NOW // BIN_NS, (NOW + SECOND) // BIN_NS) % BINS

        assert window.events[rows].tolist() == [2, 2, 2, 2]
        assert window.counts[rows, 0].tolist() == [2, 2, 2, 2]

    def test_a_clear_window_does_not_remember(self):
        window = Window(2)
        window.add(at(0), np.array([1]))
        window.clear(NOW + SECOND)

        assert window.total(600).sum() == 0
        assert window.columns(600, 10)[2].sum() == 1

    def test_ten_minutes_of_a_flood_take_the_memory_of_one_second(self):
        window = Window(496)
        before = window.counts.nbytes + window.events.nbytes
        for second in range(0, 600, 7):
            times = np.full(100_003, NOW + second * SECOND)
            window.add(times, np.arange(100_003) % 496)

        assert window.counts.nbytes + window.events.nbytes == before < 6 << 20
        assert window.total(600).sum() == 100_003 * len(range(0, 600, 7))


class TestTops:
    def test_names_leave_with_the_window(self):
        tops = Tops(window_s=10)
        tops.add(NOW, {"a": 5, "b": 2})
        tops.add(NOW + 8 * SECOND, {"b": 4})

        assert tops.largest(2) == ([("b", 6), ("a", 5)], 0)
        tops.advance(NOW + 12 * SECOND)
        assert tops.largest(2) == ([("b", 4)], 0)

    def test_another_window_shows_what_it_would_have_held(self):
        tops = Tops(window_s=10)
        tops.add(NOW, {"a": 5})
        tops.add(NOW + 30 * SECOND, {"b": 1})

        tops.resize(60, NOW + 30 * SECOND)
        assert dict(tops.largest(2)[0]) == {"a": 5, "b": 1}
        tops.resize(10, NOW + 30 * SECOND)
        assert dict(tops.largest(2)[0]) == {"b": 1}
        tops.advance(NOW + 45 * SECOND)
        assert tops.total == {}

    def test_the_rest_is_counted_together(self):
        tops = Tops()
        tops.add(NOW, {f"n{i}": i for i in range(1, 11)})

        shown, others = tops.largest(3)
        assert [name for name, _ in shown] == ["n10", "n9", "n8"]
        assert others == 55 - 27

    def test_names_without_end_stay_within_the_limit_and_none_is_lost_from_the_sum(self):
        tops = Tops(limit=100)
        for number in range(50):
            tops.add(NOW, {f"name {number} {i}": 1 for i in range(97)} | {"large": 3})

        assert len(tops.total) <= 2 * 100 + 98
        assert sum(tops.total.values()) == 50 * 100
        assert tops.total[OTHER] > 0
        assert tops.largest(1)[0] == [("large", 150)]

    @pytest.mark.parametrize("cleared", [True, False])
    def test_clear(self, cleared: bool):
        tops = Tops()
        tops.add(NOW, {"a": 1})
        if cleared:
            tops.clear()

        assert tops.largest(1)[0] == ([] if cleared else [("a", 1)])
