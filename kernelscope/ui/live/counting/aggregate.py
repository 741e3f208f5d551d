"""Makes a table's batches into counts at once: by time, by value, by name.

Records are counted as they come. A map counts in the kernel, so that each of its readings holds
everything since the start: what is new in it is its difference from the reading before.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute

from kernelscope.probe.model import Column, Plot
from kernelscope.ui.live.counting.window import Grid, Numbers, Places, Tops, Window

_NAMES = (
    "syscall", "path", "text", "enum", "device", "errno", "signal", "ip", "ipv4", "ipv6",
    "pid", "tid", "uid", "port", "port_be", "address", "mac", "bool", "bytes",
)  # fmt: skip
_USUAL = ("comm", "path", "syscall", "pid")
_LABELS = 3
_AMOUNTS = ("count", "duration", "integer", "float")
_GROUPED = 2048


@dataclass(frozen=True)
class Shape:
    """Which columns of a table are counted.

    time: of an event, "" where it has none. measure: whose values are spread out. amount: of a map,
    what says how many events an entry stands for. group: the measure's groups. labels, value: what
    bars can stand for and how long they are, "" for the number of events. stacks: their columns.
    first: the table's first column, which is there where nothing else is needed.
    """

    table: str
    is_map: bool
    time: str = ""
    measure: Column | None = None
    amount: str = ""
    group: str = ""
    labels: tuple[str, ...] = ()
    value: str = ""
    stacks: tuple[str, ...] = ()
    first: str = ""

    @property
    def needed(self) -> set[str]:
        """The columns to decode."""
        measure = self.measure.name if self.measure else ""
        names = {self.time, measure, self.amount, self.group, *self.labels, self.value}
        return (names - {""}) or {self.first}

    @property
    def low(self) -> str:
        """The DataFrame's column that holds the measure, or its low bound."""
        if self.measure is None:
            return ""
        if self.measure.kind != "slot":
            return self.measure.name
        unit = f"_{self.measure.unit}" if self.measure.unit else ""
        return f"{self.measure.name.removesuffix(unit)}_low{unit}"


def shape_of(
    table: str, columns: Sequence[Column], plots: Sequence[Plot], *, is_map: bool
) -> Shape:
    """Return what of a table is counted: what its plots show, else what its columns are."""
    by_name = {column.name: column for column in columns}
    plots = [plot for plot in plots if plot.table in ("", table)]
    texts = tuple(
        column.name
        for kind in _NAMES
        for column in columns
        if column.kind == kind and not (column.name == "tid" and "pid" in by_name)
    )
    counts = [column.name for column in columns if column.kind == "count"]
    amounts = counts or [c.name for c in columns if c.kind in _AMOUNTS and _is_value(c)]
    wanted = [plot.x for plot in plots if plot.kind == "bars"]
    keys = tuple(c.name for c in columns if is_map and not _is_value(c) and c.kind != "slot")
    wanted += [name for name in _USUAL if name in by_name] or list((texts or keys)[:1])
    wanted += [plot.by for plot in plots]
    return Shape(
        table,
        is_map,
        time="" if is_map else next((c.name for c in columns if c.kind == "time"), ""),
        measure=_measure(by_name, plots, is_map),
        amount=amounts[0] if is_map and amounts else "",
        group=_first([plot.by for plot in plots if plot.kind == "histogram"], by_name),
        labels=tuple(dict.fromkeys(name for name in wanted if name in by_name))[:_LABELS],
        value=_first([plot.value for plot in plots if plot.kind == "bars"], by_name),
        stacks=tuple(c.name for c in columns if c.kind.endswith("_stack")),
        first=columns[0].name if columns else "",
    )


def _measure(columns: dict[str, Column], plots: Sequence[Plot], is_map: bool) -> Column | None:
    slots = [column for column in columns.values() if column.kind == "slot"]
    if is_map or slots:
        return slots[0] if slots else None
    for name in (n for plot in plots for n in (plot.y, plot.x)):
        if name in columns and columns[name].kind in ("duration", "integer", "float"):
            return columns[name]
    return next((column for column in columns.values() if column.kind == "duration"), None)


def _is_value(column: Column) -> bool:
    return (column.field or column.name).startswith("value")


def _first(names: Sequence[str], known: dict[str, Column]) -> str:
    return next((name for name in names if name in known), "")


class Reducer:
    """The counts of one table. Give it DataFrames of `shape.needed`; `at_ns` is the wall's time."""

    def __init__(self, shape: Shape, histogram: str, begun_ns: int, window_s: float) -> None:
        self.shape = shape
        self.grid = Grid.of(shape.measure, histogram) if shape.measure else None
        self.window = Window(len(self.grid) if self.grid else 0)
        self.tops = {label: Tops(window_s=window_s) for label in shape.labels}
        self.groups = Tops(_GROUPED, window_s)
        self.events = 0
        self.counted = 0
        self._read_ns = begun_ns
        self._slots: Numbers = np.zeros(len(self.grid) if self.grid else 0)
        self._named: dict[str, dict[Hashable, float]] = {}
        self._grouped: dict[Hashable, float] = {}
        self._amount = 0.0

    def advance(self, at_ns: int) -> None:
        """Let time go on."""
        self.window.advance(at_ns)
        for tops in (*self.tops.values(), self.groups):
            tops.advance(at_ns)

    def clear(self, at_ns: int) -> None:
        """Begin anew; what a map has counted so far is known and not counted again."""
        self.window.clear(at_ns)
        for tops in (*self.tops.values(), self.groups):
            tops.clear()
        self.events = 0

    def resize(self, window_s: float, at_ns: int) -> None:
        """Let names be those of another window."""
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
        for label, tops in self.tops.items():
            tops.add(at_ns, _by(frame, label, shape.value))
        if shape.group and slots is not None:
            self.groups.add(at_ns, _by_slot(frame[shape.group], slots, None))

    def take_reading(self, frame: pd.DataFrame, at_ns: int) -> None:
        """Count what is new in a map's reading."""
        shape, begun = self.shape, self._read_ns
        weights = frame[shape.amount].to_numpy(np.float64) if shape.amount else np.ones(len(frame))
        slots = self._placed(frame)
        new = None
        if slots is not None and self.grid is not None:
            now = np.bincount(slots, weights, len(self.grid)).astype(np.float64)
            new = np.clip(now - self._slots, 0, None)
            self._slots = now
        if shape.group and slots is not None:
            found = _by_slot(frame[shape.group], slots, weights)
            self.groups.add(at_ns, _new_in(found, self._grouped))
            self._grouped = found
        for label, tops in self.tops.items():
            named = _by(frame, label, shape.value or shape.amount)
            tops.add(at_ns, _new_in(named, self._named.get(label, {})))
            self._named[label] = named
        amount = float(weights.sum())
        events = max(0.0, amount - self._amount) if new is None else float(new.sum())
        self._amount, self._read_ns = amount, at_ns
        self.window.spread(new, events, min(begun, at_ns), at_ns)
        self.events += round(events)
        self.counted += round(events)

    def _placed(self, frame: pd.DataFrame) -> Places | None:
        if self.grid is None:
            return None
        return self.grid.place(frame[self.shape.low].to_numpy(np.float64, na_value=0.0))


def _by(frame: pd.DataFrame, label: str, value: str) -> dict[Hashable, float]:
    """Return the sums of `value` by name, or how many rows have it."""
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
    """Return what was added; a name whose count fell was taken out and begun again."""
    added = {}
    for name, number in now.items():
        more = number - before.get(name, 0)
        if more:
            added[name] = more if more > 0 else number
    return added
