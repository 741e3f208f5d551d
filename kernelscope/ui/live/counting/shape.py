"""Which columns of a table a live view counts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from kernelscope.probe.column_kinds import COLUMN_KINDS, is_additive
from kernelscope.probe.model import Column, Plot

_USUAL = ("comm", "path", "syscall", "pid")
_LABELS = 3


@dataclass(frozen=True)
class Shape:
    """Which columns of a table are counted, and as what.

    time: the column of an event's time, "" for none. measure: the column whose values are counted
    by slot. amount: in a map, the column with the number of events of an entry. group: the column
    that groups the measure. labels: the columns that bars can stand for. value: the column whose
    sums are the bars' lengths, "" for the number of events. stacks: the columns of stacks.
    first: the table's first column, decoded where no other is needed.
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
    def adds_up(self) -> str:
        """The column that bars add up; "" where they count events."""
        return self.value or self.amount

    @property
    def noun(self) -> str:
        """What the sums count, in the plural."""
        if self.adds_up in ("", "count"):
            return "samples" if self.table == "samples" else "events"
        return self.adds_up.replace("_", " ")

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
    counts = [column.name for column in columns if column.kind == "count"]
    amounts = counts or [c.name for c in columns if is_additive(c.kind) and _is_value(c)]
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
        if name in columns and is_additive(columns[name].kind):
            return columns[name]
    return next((column for column in columns.values() if column.kind == "duration"), None)


def _is_value(column: Column) -> bool:
    return (column.field or column.name).startswith("value")


def _first(names: Sequence[str], known: dict[str, Column]) -> str:
    return next((name for name in names if name in known), "")
