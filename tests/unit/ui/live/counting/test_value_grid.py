"""Values in slots, and percentiles of slots."""

from __future__ import annotations

import numpy as np

from kernelscope.probe.model import Column
from kernelscope.ui.live.counting.value_grid import ValueGrid

LATENCY = Column("latency_us", "slot", unit="us", scale=0.001)
SIZE = Column("size_bytes", "integer", unit="bytes")


class TestValueGrid:
    def test_finds_a_histograms_slots_by_their_low_bounds(self):
        grid = ValueGrid.of(LATENCY)
        lows = grid.edges[:400]

        assert grid.place(lows).tolist() == list(range(400))

    def test_places_values_between_their_slots_edges(self):
        grid = ValueGrid.of(SIZE)
        values = np.array([0, 1, 7, 8, 511, 512, 4097, 10**9], np.float64)
        slots = grid.place(values)

        assert (grid.edges[slots] <= values).all()
        assert (values < grid.edges[slots + 1]).all()

    def test_bounds_percentiles_by_their_slots(self):
        grid = ValueGrid.of(SIZE)
        values = np.arange(1, 1001, dtype=np.float64)
        counts = np.bincount(grid.place(values), minlength=len(grid)).astype(np.float64)

        for percent in (50, 90, 99):
            guess, low, high = (each[0] for each in grid.percentile(counts[None, :], percent))
            assert low <= values[int(percent * 10) - 1] < high
            assert low <= guess <= high
            assert high <= 1.13 * low

    def test_returns_no_percentile_without_events(self):
        found = ValueGrid.of(SIZE).percentile(np.zeros((2, 496)), 50)

        assert np.isnan(found).all()
