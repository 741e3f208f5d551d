"""What a live view remembers: counts in bins of time and of value, never the events themselves.

Everything here has a size that is fixed or bounded beforehand, so that a window of ten minutes
costs the same memory, and a picture of it the same time, at ten events a second and at a million.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Hashable, Mapping
from dataclasses import dataclass
from heapq import nlargest
from operator import itemgetter

import numpy as np
import numpy.typing as npt

from kernelscope.probe.model import Column
from kernelscope.tables import column_kinds as kinds
from kernelscope.tables.histogram import slot_bounds
from kernelscope.units import NANOSECONDS

Numbers = npt.NDArray[np.float64]
Places = npt.NDArray[np.int64]

HISTORY_S = 600
BIN_NS = 250_000_000
BINS = HISTORY_S * 10**9 // BIN_NS
_SLOTS = {"log_linear": 496, "log2": 65, "linear": 512}


@dataclass(frozen=True)
class Grid:
    """A histogram's slots in a column's own unit: slot i is [edges[i], edges[i + 1])."""

    edges: Numbers

    @classmethod
    def of(cls, column: Column, histogram: str = "log_linear") -> Grid:
        """Return the slots that a column's values are counted in.

        A histogram's are its own. Other values get log-linear ones, an eighth of an octave wide, of
        the numbers as the kernel had them (nanoseconds, bytes).
        """
        kind = histogram if column.kind == "slot" else "log_linear"
        slots = np.arange(_SLOTS[kind])
        if column.kind == "slot":
            low, high = kinds.decode(
                kinds.Source(slots, column, kinds.Context(histogram=kind))
            ).values()
        else:
            low, high = (each / _divisor(column) for each in slot_bounds(slots, kind))
        return cls(np.append(np.asarray(low, np.float64), float(high[-1])))

    def __len__(self) -> int:
        return len(self.edges) - 1

    def place(self, values: Numbers) -> Places:
        """Return each value's slot; what lies outside goes to the first or last one."""
        found: Places = np.searchsorted(self.edges, values * (1 + 1e-12), "right") - 1
        return np.clip(found, 0, len(self) - 1)

    def percentile(self, counts: Numbers, percent: float) -> tuple[Numbers, Numbers, Numbers]:
        """Return best guess, low and high bound for each row of `counts`; NaN for an empty row.

        counts: shape (rows, slots). The guess lies in its slot by the share of the slot's events.
        """
        upto = np.cumsum(counts, axis=1)
        total = upto[:, -1]
        rank = np.maximum(percent / 100 * total, np.minimum(total, 1e-9))
        slot = np.minimum((upto < rank[:, None] * (1 - 1e-9)).sum(axis=1), len(self) - 1)
        rows = np.arange(len(counts))
        inside = counts[rows, slot]
        share = 1 - (upto[rows, slot] - rank) / np.where(inside > 0, inside, 1)
        low, high = self.edges[slot], self.edges[slot + 1]
        empty = total <= 0
        guess = low + (high - low) * np.clip(share, 0, 1)
        return tuple(np.where(empty, np.nan, each) for each in (guess, low, high))  # type: ignore[return-value]


def _divisor(column: Column) -> float:
    if column.kind == "duration":
        return float(NANOSECONDS[column.unit or "ns"])
    return 1000.0 if column.kind == "float" else 1.0


class Window:
    """Events, and where their values lie, in bins of a quarter of a second; the oldest give way.

    slots: into how many a value can fall; 0 where nothing is measured.
    """

    def __init__(self, slots: int = 0) -> None:
        self.events = np.zeros(BINS)
        self.counts = np.zeros((BINS, slots), np.float32)
        self.newest = 0
        self.since = 0

    def advance(self, at_ns: int) -> None:
        """Let time go on to `at_ns`, whether there are events or not."""
        newest = at_ns // BIN_NS
        if newest <= self.newest:
            return
        fresh = np.arange(max(self.newest + 1, newest - BINS + 1), newest + 1) % BINS
        self.events[fresh] = 0
        self.counts[fresh] = 0
        self.newest = newest
        self.since = self.since or newest

    def clear(self, at_ns: int) -> None:
        """Forget everything up to now."""
        self.events[:] = 0
        self.counts[:] = 0
        self.newest = self.since = at_ns // BIN_NS

    def add(self, at_ns: Places, slots: Places | None, weights: Numbers | None = None) -> None:
        """Count events: their times, and the slots of their values where those are measured."""
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

    def spread(self, counts: Numbers | None, events: float, begun_ns: int, ended_ns: int) -> None:
        """Count what came at some time between two readings of a map, as if evenly."""
        self.advance(ended_ns)
        first = max(begun_ns // BIN_NS, self.newest - BINS + 1)
        bins = np.arange(first, ended_ns // BIN_NS + 1)
        begins = np.maximum(bins * BIN_NS, begun_ns)
        shares = np.minimum((bins + 1) * BIN_NS, ended_ns) - begins
        part = shares / shares.sum() if shares.sum() > 0 else np.full(len(bins), 1 / len(bins))
        self.events[bins % BINS] += part * events
        if counts is not None:
            self.counts[bins % BINS] += np.outer(part, counts)

    def columns(self, window_s: float, wanted: int) -> tuple[Numbers, Numbers, Places]:
        """Return the window's events and counts in at most `wanted` columns.

        A column always holds the same bins until it leaves the window, so that a picture moves by
        whole columns. The third array says how many bins of each column have begun.
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


OTHER = None  # the name under which everything is counted that is too small to have its own


class Tops:
    """The largest groups in a moving window, by name, in bins of a second.

    limit: how many names a bin keeps; what its smaller ones come to is counted under `OTHER`.
    """

    def __init__(self, limit: int = 256, window_s: float = 60) -> None:
        self.limit = limit
        self.total: dict[Hashable, float] = {}
        self._window = max(1, round(window_s))
        self._bins: deque[tuple[int, dict[Hashable, float]]] = deque()
        self._oldest = 0  # the first second that is in `total`

    def add(self, at_ns: int, amounts: Mapping[Hashable, float]) -> None:
        """Count amounts by name at a time, which is now or the second before."""
        second = at_ns // 10**9
        self.advance(at_ns)
        if not self._bins or self._bins[-1][0] < second:
            self._bins.append((second, {}))
        current = self._bins[-1][1]
        for name, amount in amounts.items():
            current[name] = current.get(name, 0.0) + amount
            self.total[name] = self.total.get(name, 0.0) + amount
        if len(current) > 2 * self.limit:
            self._trim(current)

    def advance(self, at_ns: int) -> None:
        """Let go what has left the window."""
        second = at_ns // 10**9
        while self._bins and self._bins[0][0] <= second - HISTORY_S:
            self._bins.popleft()
        oldest = second - self._window + 1
        for at, amounts in self._bins:
            if at >= oldest:
                break
            if at >= self._oldest:
                self._take_off(amounts)
        self._oldest = max(self._oldest, oldest)

    def resize(self, window_s: float, at_ns: int) -> None:
        """Let the window be another one."""
        self._window = max(1, round(window_s))
        self._oldest = at_ns // 10**9 - self._window + 1
        self.total = {}
        for at, amounts in self._bins:
            for name, amount in amounts.items() if at >= self._oldest else ():
                self.total[name] = self.total.get(name, 0.0) + amount

    def clear(self) -> None:
        """Forget everything."""
        self._bins.clear()
        self.total = {}

    def largest(self, count: int) -> tuple[list[tuple[Hashable, float]], float]:
        """Return the largest names with their amounts, and what all others come to."""
        named = ((name, amount) for name, amount in self.total.items() if name is not OTHER)
        shown = nlargest(count, named, key=itemgetter(1))
        return shown, sum(self.total.values()) - sum(amount for _, amount in shown)

    def _take_off(self, amounts: Mapping[Hashable, float]) -> None:
        for name, amount in amounts.items():
            left = self.total.get(name, 0.0) - amount
            if left > 1e-9:
                self.total[name] = left
            else:
                self.total.pop(name, None)

    def _trim(self, amounts: dict[Hashable, float]) -> None:
        named = ((name, amount) for name, amount in amounts.items() if name is not OTHER)
        small = dict(sorted(named, key=itemgetter(1), reverse=True)[self.limit :])
        rest = sum(small.values())
        for name in small:
            del amounts[name]
        self._take_off(small)
        for counts in (amounts, self.total):
            counts[OTHER] = counts.get(OTHER, 0.0) + rest
