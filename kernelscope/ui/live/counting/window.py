"""Counts in bins of time and of value; the events themselves are not kept.

All sizes are fixed or bounded beforehand: a window of ten minutes takes the same memory, and its
picture the same time, at ten events per second and at a million.
"""

from __future__ import annotations

import numpy as np

from kernelscope.analysis.percentiles import Numbers, Places

HISTORY_S = 600
BIN_NS = 250_000_000
BINS = HISTORY_S * 10**9 // BIN_NS


class Window:
    """Counts of events and of their values in bins of a quarter of a second, the last ten minutes.

    slots: the number of value slots; 0 where nothing is measured.
    """

    def __init__(self, slots: int = 0) -> None:
        self.events = np.zeros(BINS)
        self.counts = np.zeros((BINS, slots), np.float32)
        self.newest = 0
        self.since = 0

    def advance(self, at_ns: int) -> None:
        """Move the window's end to `at_ns`, with or without events."""
        newest = at_ns // BIN_NS
        if newest <= self.newest:
            return
        fresh = np.arange(max(self.newest + 1, newest - BINS + 1), newest + 1) % BINS
        self.events[fresh] = 0
        self.counts[fresh] = 0
        self.newest = newest
        self.since = self.since or newest

    def clear(self, at_ns: int) -> None:
        """Forget everything before `at_ns`."""
        self.events[:] = 0
        self.counts[:] = 0
        self.newest = self.since = at_ns // BIN_NS

    def add(self, at_ns: Places, slots: Places | None, weights: Numbers | None = None) -> None:
        """Count events by their times and, where `slots` is given, by their values' slots."""
        if not len(at_ns):
            return
        self.advance(int(at_ns.max()))
        rows = np.clip(at_ns // BIN_NS, self.newest - BINS + 1, self.newest) % BINS
        self.events += np.bincount(rows, weights, BINS)
        if slots is None:
            return
        width = self.counts.shape[1]
        flat, inverse = np.unique(rows * width + slots, return_inverse=True)
        self.counts.reshape(-1)[flat] += np.bincount(inverse, weights, len(flat))

    def spread(self, counts: Numbers | None, events: float, start_ns: int, end_ns: int) -> None:
        """Count events between two readings of a map, spread evenly over the time between."""
        self.advance(end_ns)
        first = max(start_ns // BIN_NS, self.newest - BINS + 1)
        bins = np.arange(first, end_ns // BIN_NS + 1)
        begins = np.maximum(bins * BIN_NS, start_ns)
        shares = np.minimum((bins + 1) * BIN_NS, end_ns) - begins
        part = shares / shares.sum() if shares.sum() > 0 else np.full(len(bins), 1 / len(bins))
        self.events[bins % BINS] += part * events
        if counts is not None:
            self.counts[bins % BINS] += np.outer(part, counts)

    def columns(self, window_s: float, wanted: int) -> tuple[Numbers, Numbers, Places]:
        """Return the window's events and counts in at most `wanted` columns.

        A column holds the same bins until it leaves the window, so that a picture moves by whole
        columns. The third array is the number of bins of each column that have started.
        """
        bins = min(BINS, max(1, round(window_s * 1e9 / BIN_NS)))
        each = max(1, -(-bins // wanted))
        columns = -(-bins // each)
        end = (self.newest // each + 1) * each
        chosen = np.arange(end - columns * each, end)
        known = (chosen <= self.newest) & (chosen > self.newest - BINS) & (chosen >= self.since)
        rows = chosen % BINS
        events = np.where(known, self.events[rows], 0).reshape(columns, each).sum(axis=1)
        counts = np.where(known[:, None], self.counts[rows], 0)
        summed = counts.reshape(columns, each, -1).sum(axis=1, dtype=np.float64)
        return events, summed, known.reshape(columns, each).sum(axis=1)

    def total(self, window_s: float) -> Numbers:
        """Return the window's counts by slot."""
        bins = min(BINS, max(1, round(window_s * 1e9 / BIN_NS)))
        rows = np.arange(max(self.newest - bins + 1, self.since), self.newest + 1) % BINS
        result: Numbers = self.counts[rows].sum(axis=0, dtype=np.float64)
        return result
