"""Which columns of a table a live view counts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from kernelscope.probe.column_kinds import COLUMN_KINDS, is_additive
from kernelscope.probe.model import Column, Plot
from kernelscope.units import unit_of

_USUAL = ("comm", "path", "syscall", "pid")
_LABELS = 3


@dataclass(frozen=True)
class Grouping:
    """What bars stand for: the groups of the column `label`, by the sums of `value`.

    value: "" for the number of rows.
    """

    label: str
    value: str = ""


@dataclass(frozen=True)
class Shape:
    """Which columns of a table are counted, and as what.

    time: the column of an event's time, "" for none. measure: the column whose values are counted
    by slot. amount: in a map, the column with the number of events of an entry. group: the column
    that groups the measure. bars: what bars can stand for. stacks: the columns of stacks.
    first: the table's first column, decoded where no other is needed.
    """

    table: str
    is_map: bool
    time: str = ""
    measure: Column | None = None
    amount: str = ""
    group: str = ""
    bars: tuple[Grouping, ...] = ()
    stacks: tuple[str, ...] = ()
    first: str = ""

    def noun_of(self, value: str) -> str:
        """Return what the sums of a column count, in the plural."""
        if value in ("", "count"):
            return "samples" if self.table == "samples" else "events"
        return value.replace("_", " ")

    @property
    def needed(self) -> set[str]:
        """The columns to decode."""
        measure = self.measure.name if self.measure else ""
        names = {self.time, measure, self.amount, self.group}
        names |= {name for bar in self.bars for name in (bar.label, bar.value)}
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
    """Return which columns are counted: those that the plots show, else by their kinds."""
    by_name = {column.name: column for column in columns}
    plots = [plot for plot in plots if plot.table in ("", table)]
    texts = tuple(
        column.name
        for kind in COLUMN_KINDS.values()
        for column in columns
        if kind.label
        and column.kind == kind.name
        and not (column.name == "tid" and "pid" in by_name)
    )
    keys = tuple(c.name for c in columns if is_map and not _is_value(c) and c.kind != "slot")
    usual = [name for name in _USUAL if name in by_name] or list((texts or keys)[:1])
    labels = [name for name in [*usual, *(plot.by for plot in plots)] if name in by_name]
    amount = _amount(columns) if is_map else ""
    return Shape(
        table,
        is_map,
        time="" if is_map else next((c.name for c in columns if c.kind == "time"), ""),
        measure=_measure(by_name, plots, is_map),
        amount=amount,
        group=_first([plot.by for plot in plots if plot.kind == "histogram"], by_name),
        bars=_bars(by_name, plots, labels, amount),
        stacks=tuple(c.name for c in columns if c.kind.endswith("_stack")),
        first=columns[0].name if columns else "",
    )


def _bars(
    known: dict[str, Column], plots: Sequence[Plot], labels: Sequence[str], amount: str
) -> tuple[Grouping, ...]:
    """Return the groupings of the plots, then those of the usual labels by the same values."""
    named = [plot for plot in plots if plot.kind == "bars" and plot.x in known]
    values = [plot.value for plot in plots if plot.kind in ("bars", "flamegraph")]
    value = _first(values, known) or amount
    proposed = [Grouping(p.x, p.value if p.value in known else amount) for p in named]
    shown = {bar.label for bar in proposed}
    others = [Grouping(label, value) for label in labels if label not in shown]
    others = others[: max(0, _LABELS - len(shown))]
    return tuple(dict.fromkeys([*proposed, *others]))


def _amount(columns: Sequence[Column]) -> str:
    """Return a map's column with the number of events of an entry; "" where each entry is one."""
    counts = [c.name for c in columns if c.kind == "count"]
    values = [c.name for c in columns if is_additive(c.kind) and _is_value(c)]
    numbers = [name for name in [*counts, *values] if not unit_of(name)]
    return "count" if "count" in numbers else next(iter(numbers), "")


def _measure(columns: dict[str, Column], plots: Sequence[Plot], is_map: bool) -> Column | None:
    slots = [column for column in columns.values() if column.kind == "slot"]
    if is_map or slots:
        return slots[0] if slots else None
    for name in (n for plot in plots for n in (plot.y, plot.x)):
        if name in columns and is_additive(columns[name].kind):
            return columns[name]
    return next((column for column in columns.values() if column.kind == "duration"), None)


def _is_value(column: Column) -> bool:
    return (column.field or column.name).startswith("value")


def _first(names: Sequence[str], known: dict[str, Column]) -> str:
    return next((name for name in names if name in known), "")
