"""Which tables a run has, with which columns and in which order of rows."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from kernelscope.errors import ProbeSpecError
from kernelscope.probe.column_kinds import COLUMN_KINDS
from kernelscope.probe.model import Column, TableSpec
from kernelscope.protocol.layout import Layout
from kernelscope.protocol.printk import TABLE as PRINTK_TABLE
from kernelscope.tables import infer

MAPS = ("hash", "lru_hash", "percpu_hash", "lru_percpu_hash", "array", "percpu_array", "lpm_trie")
RECORDS = ("ring", "perf", "printk")
_RECORD_HEADER = 8
_STACK_TEXT, _SHORT_TEXT = 200, 12  # bytes, typical
PRINTK = "printk"  # the table of what the program printed


@dataclass(frozen=True)
class Plan:
    """How one table is built. sort: DataFrame columns, "-" before one for descending."""

    name: str
    layout: Layout
    columns: tuple[Column, ...]
    sort: tuple[str, ...] = ()


def plans(
    layouts: Mapping[str, Layout], specs: Sequence[TableSpec], types: Mapping[str, str]
) -> list[Plan]:
    """Return a plan for each table of `specs`; without any, for every table of the program.

    layouts: by the map's name. types: column names to kinds; they override the table's own.

    Raises ParameterError for an unknown kind or column in `types`, ProbeSpecError where a spec
    names a map that the program does not have.
    """
    made = [_from_spec(spec, layouts) for spec in specs] or _inferred(layouts.values())
    if not specs and PRINTK_TABLE in layouts:
        made.append(Plan(PRINTK, layouts[PRINTK_TABLE], ()))
    known = [column.name for plan in made for column in plan.columns]
    infer.check_types(types, list(dict.fromkeys(known)))
    return [replace(plan, columns=_retyped(plan.columns, types)) for plan in made]


def growth(layout: Layout, made: Sequence[Plan]) -> float:
    """Return how many bytes of the result, roughly, a byte of raw data becomes."""
    cpus = max(layout.cpus, 1)
    raw = layout.key_size + cpus * layout.value_size
    raw = raw or sum(field.size for field in layout.value) + _RECORD_HEADER
    wide = sum(_width(column, layout) for plan in made for column in plan.columns)
    return wide / max(raw, 1)


def _width(column: Column, layout: Layout) -> int:
    """Return about how many bytes a value of a column takes in a DataFrame."""
    kind = COLUMN_KINDS[column.kind]
    if column.kind.endswith("_stack"):
        return _STACK_TEXT
    if column.kind == "slot":
        return 16
    if kind.additive or column.kind in ("time", "pid", "tid", "uid"):
        return 8
    field = next((each for each in layout.value if each.name == column.field), None)
    return 8 + (field.size if field and field.type == "char" else _SHORT_TEXT)


def _from_spec(spec: TableSpec, layouts: Mapping[str, Layout]) -> Plan:
    layout = layouts.get(spec.map)
    if layout is None:
        raise ProbeSpecError(
            f"table {spec.name}: the program has no map {spec.map!r}",
            hint=f"its maps are {', '.join(layouts) or 'none'}",
            key=f"table.{spec.name}.map",
        )
    return Plan(spec.name, layout, spec.columns, spec.sort)


def _inferred(layouts: Iterable[Layout]) -> list[Plan]:
    return [
        Plan(layout.table, layout, infer.columns(layout), _inferred_sort(layout))
        for layout in layouts
        if layout.kind in (*MAPS, *RECORDS) and not layout.table.startswith("ks_")
    ]


def _inferred_sort(layout: Layout) -> tuple[str, ...]:
    if not layout.histogram:
        return ()
    keys = [column.name for column in infer.columns(layout)[: len(layout.key) - 1]]
    return (*keys, "value_low")


def _retyped(columns: Sequence[Column], types: Mapping[str, str]) -> tuple[Column, ...]:
    return tuple(
        infer.retyped(column, types[column.name]) if column.name in types else column
        for column in columns
    )
