"""Adds up a table's batches as they arrive: by time, by value, by name.

Records are counted one by one. A map counts in the kernel, so that each reading holds everything
since the start of the run: its difference from the reading before is what is new.
"""

from __future__ import annotations

from collections.abc import Hashable
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute

from kernelscope.analysis import readings
from kernelscope.analysis.percentiles import Numbers, Places
from kernelscope.ui.live.counting.shape import Grouping, Shape
from kernelscope.ui.live.counting.top_groups import TopGroups
from kernelscope.ui.live.counting.value_grid import ValueGrid
from kernelscope.ui.live.counting.window import Window

_GROUP_SLOTS = 2048  # pairs of a group and a slot that are kept


class Aggregate:
    """The counts of one table.

    It takes DataFrames with the columns `shape.needed`. Every `at_ns` is wall clock time.
    """

    def __init__(self, shape: Shape, histogram: str, start_ns: int, window_s: float) -> None:
        self.shape = shape
        self.grid = ValueGrid.of(shape.measure, histogram) if shape.measure else None
        self.window = Window(len(self.grid) if self.grid else 0)
        self.tops = {bar: TopGroups(window_s=window_s) for bar in shape.bars}
        self.groups = TopGroups(_GROUP_SLOTS, window_s)
        self.events = 0
        self.counted = 0
        self._read_ns = start_ns
        self._slots: Numbers = np.zeros(len(self.grid) if self.grid else 0)
        self._named: dict[Grouping, dict[Hashable, float]] = {}
        self._grouped: dict[Hashable, float] = {}
        self._amount = 0.0

    def advance(self, at_ns: int) -> None:
        """Move the window's end to `at_ns`."""
        self.window.advance(at_ns)
        for tops in (*self.tops.values(), self.groups):
            tops.advance(at_ns)

    def clear(self, at_ns: int) -> None:
        """Start again from 0; what a map has counted so far is not counted again."""
        self.window.clear(at_ns)
        for tops in (*self.tops.values(), self.groups):
            tops.clear()
        self.events = 0

    def resize(self, window_s: float, at_ns: int) -> None:
        """Change the length of the window of names."""
        for tops in (*self.tops.values(), self.groups):
            tops.resize(window_s, at_ns)

    def take_records(self, frame: pd.DataFrame, at_ns: int) -> None:
        """Count single events."""
        shape = self.shape
        times = np.full(len(frame), at_ns)
        if shape.time:
            stamps = pd.DatetimeIndex(frame[shape.time]).as_unit("ns").asi8
            times = np.where(stamps > 0, np.minimum(stamps, at_ns), at_ns)
        slots = self._placed(frame)
        self.window.add(times, slots)
        self.events += len(frame)
        self.counted += len(frame)
        for bar, tops in self.tops.items():
            tops.add(at_ns, _by(frame, bar.label, bar.value))
        if shape.group and slots is not None:
            self.groups.add(at_ns, _by_slot(frame[shape.group], slots, None))

    def take_reading(self, frame: pd.DataFrame, at_ns: int) -> None:
        """Count what is new in a reading of a map."""
        shape, start = self.shape, self._read_ns
        weights = frame[shape.amount].to_numpy(np.float64) if shape.amount else np.ones(len(frame))
        slots = self._placed(frame)
        new = None
        if slots is not None and self.grid is not None:
            now = np.bincount(slots, weights, len(self.grid)).astype(np.float64)
            new = readings.added(now, self._slots)
            self._slots = now
        if shape.group and slots is not None:
            found = _by_slot(frame[shape.group], slots, weights)
            self.groups.add(at_ns, _new_in(found, self._grouped))
            self._grouped = found
        for bar, tops in self.tops.items():
            named = _by(frame, bar.label, bar.value)
            tops.add(at_ns, _new_in(named, self._named.get(bar, {})))
            self._named[bar] = named
        amount = float(weights.sum())
        events = float(readings.added(amount, self._amount) if new is None else new.sum())
        self._amount, self._read_ns = amount, at_ns
        self.window.spread(new, events, min(start, at_ns), at_ns)
        self.events += round(events)
        self.counted += round(events)

    def _placed(self, frame: pd.DataFrame) -> Places | None:
        if self.grid is None:
            return None
        return self.grid.place(frame[self.shape.low].to_numpy(np.float64, na_value=0.0))


def _by(frame: pd.DataFrame, label: str, value: str) -> dict[Hashable, float]:
    """Return the sums of `value` by name; without `value`, the number of rows."""
    if value:
        found = frame.groupby(label, sort=False)[value].sum()
        return {str(name): float(number) for name, number in found.items()}
    counted = pyarrow.compute.value_counts(pa.array(frame[label].array))
    names, counts = counted.field(0).to_pylist(), counted.field(1).to_pylist()
    return {str(name): float(count) for name, count in zip(names, counts, strict=True)}


def _by_slot(
    names: pd.Series[Any], slots: Places, weights: Numbers | None
) -> dict[Hashable, float]:
    codes, known = pd.factorize(names)
    width = int(slots.max()) + 1 if len(slots) else 1
    pairs, inverse = np.unique(codes * width + slots, return_inverse=True)
    counts = np.bincount(inverse, weights, len(pairs))
    return {
        (str(known[pair // width]), int(pair % width)): float(count)
        for pair, count in zip(pairs.tolist(), counts.tolist(), strict=True)
    }


def _new_in(now: dict[Hashable, float], before: dict[Hashable, float]) -> dict[Hashable, float]:
    """Return what a reading added, by name; names to which it added nothing are left out."""
    numbers = np.fromiter(now.values(), np.float64, len(now))
    new = readings.added(numbers, np.fromiter((before.get(n, 0.0) for n in now), np.float64))
    return {name: number for name, number in zip(now, new.tolist(), strict=True) if number}
