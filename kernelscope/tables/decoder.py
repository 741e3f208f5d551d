"""Decodes a table's rows into columns, a block of rows at a time."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from kernelscope.errors import ProbeSpecError
from kernelscope.probe.model import Column
from kernelscope.tables import column_decoders as decoders
from kernelscope.tables.plan import Plan
from kernelscope.tables.records import Array
from kernelscope.tables.rows import Joined, Rows, combined, owned

# Rows decoded at a time: few enough that the next block reuses this block's memory.
_BLOCK_ROWS = 1 << 14


@dataclass(frozen=True)
class Decoder:
    """Decodes the columns of one table.

    per_cpu: keep per-CPU values apart, with a "cpu" column.
    """

    plan: Plan
    context: decoders.Context
    per_cpu: bool = False

    def columns(self, rows: Rows, cpus: int = 0) -> dict[str, Any]:
        """Return the columns by name. cpus: values per row of a per-CPU map, else 0."""
        blocks = list(rows.blocks(_BLOCK_ROWS))
        if not blocks[1:]:
            return owned(self._block(blocks[0], cpus))
        joined = Joined(len(rows) * (cpus if cpus and self.per_cpu else 1))
        for block in blocks:
            joined.add(self._block(block, cpus))
        return joined.columns()

    def _block(self, rows: Rows, cpus: int) -> dict[str, Any]:
        """Decode some rows' columns: times first, then keys, "cpu", and values."""
        first: dict[str, Any] = {}
        keys: dict[str, Any] = {}
        values: dict[str, Any] = {}
        for column in self.plan.columns:
            where = column.field or column.name
            raw = rows.get(where)
            if raw is None:
                raise _no_field(self.plan, column)
            is_key = rows.is_key(where)
            if cpus:
                raw = self._per_cpu(raw, is_key, column.kind, cpus)
            source = decoders.Source(raw, column, self.context, self._sibling(rows, cpus))
            group = first if column.kind == "time" else keys if is_key else values
            group.update(_decoded(self.plan, column, source))
        if cpus and self.per_cpu:
            count = len(next(iter({**first, **keys, **values}.values()), ()))
            keys["cpu"] = np.tile(np.arange(cpus, dtype=np.int32), count // cpus)
        return {**first, **keys, **values}

    def _sibling(self, rows: Rows, cpus: int) -> Callable[[str], Array | None]:
        def sibling(name: str) -> Array | None:
            found = rows.get(name)
            if found is None:
                found = rows.get(f"key.{name}")
            if found is None or not cpus:
                return found
            return self._per_cpu(found, found.ndim == 1, "pid", cpus)

        return sibling

    def _per_cpu(self, raw: Array, is_key: bool, kind: str, cpus: int) -> Array:
        if is_key:
            return raw.repeat(cpus, axis=0) if self.per_cpu else raw
        if self.per_cpu:
            return raw.reshape((-1, *raw.shape[2:]))
        return combined(raw, kind)


def _decoded(plan: Plan, column: Column, source: decoders.Source) -> dict[str, Any]:
    try:
        return decoders.decode(source)
    except Exception as error:  # a kind that does not fit the field can fail in any way
        raise ProbeSpecError(
            f"column {column.name} of table {plan.name}: {plan.layout.table}'s field"
            f" {column.field or column.name!r} cannot be read as {column.kind}: {error}",
            hint="give the column a kind that fits the field's type",
            key=f"table.{plan.name}.column.{column.name}",
        ) from error


def _no_field(plan: Plan, column: Column) -> ProbeSpecError:
    layout = plan.layout
    keys = [f"key.{field.name}" for field in layout.key]
    values = [f"value.{field.name}" if keys else field.name for field in layout.value]
    return ProbeSpecError(
        f"column {column.name} of table {plan.name}: "
        f"{layout.table} has no field {column.field or column.name!r}",
        hint=f"its fields are {', '.join(keys + values)}",
        key=f"table.{plan.name}.column.{column.name}",
    )
