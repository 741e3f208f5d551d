"""The fields of a table's rows, joined from the batches or readings that they came in."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

from kernelscope.probe.column_kinds import is_additive
from kernelscope.protocol.layout import Field, Layout
from kernelscope.tables import records
from kernelscope.tables.records import Array
from kernelscope.tables.store import Batch, MapStore, Reading
from kernelscope.tables.strings import as_text

_ELEMENT = re.compile(r"(.+)\[(\d+)\]\Z")


@dataclass(frozen=True)
class Part:
    """Fields of the same rows: a map's keys or values, or records. arrays: parts, in order."""

    prefix: str
    fields: tuple[Field, ...]
    arrays: list[Array]
    empty: Array


class Rows:
    """Fields of a table's rows by name, each joined from its parts on demand."""

    def __init__(self, parts: Sequence[Part], order: Array | None = None) -> None:
        self.parts = parts
        self.order = order

    def __len__(self) -> int:
        return sum(len(rows) for rows in self.parts[0].arrays)

    def blocks(self, size: int) -> Iterator[Rows]:
        """Yield the rows in turn, about `size` at a time; all at once where they have an order."""
        arrays = self.parts[0].arrays
        start = held = 0
        for end, rows in enumerate(arrays, 1):
            held += len(rows)
            if end == len(arrays) or (held >= size and self.order is None):
                chosen = [replace(part, arrays=part.arrays[start:end]) for part in self.parts]
                yield Rows(chosen, self.order)
                start, held = end, 0
        if not arrays:
            yield self

    def get(self, name: str) -> Array | None:
        """Return a field: "pid", "key", "key.pid", "value.sizes[3]"; None if there is none."""
        found = self._field(name)
        if found is not None:
            return found
        element = _ELEMENT.match(name)
        if element is None or (found := self._field(element[1])) is None:
            return None
        index = int(element[2])
        result: Array | None = found[..., index] if index < found.shape[-1] else None
        return result

    def require(self, name: str) -> Array:
        """Return a field that the agent always sends. Raises KeyError where it is missing."""
        found = self.get(name)
        if found is None:
            raise KeyError(name)
        return found

    def is_key(self, name: str) -> bool:
        """Whether `get` finds that field in a map's key."""
        base = _ELEMENT.sub(r"\1", name)
        return any(
            part.prefix == "key" and any(_named(part, field, base) for field in part.fields)
            for part in self.parts
        )

    def _field(self, name: str) -> Array | None:
        for part in self.parts:
            for field in part.fields:
                if _named(part, field, name):
                    columns = [records.column(rows, field) for rows in part.arrays or [part.empty]]
                    # One batch's field is read in place: a caller that keeps it copies it.
                    values = columns[0] if len(columns) == 1 else np.concatenate(columns)
                    return values if self.order is None else values[self.order]
        return None


def _named(part: Part, field: Field, name: str) -> bool:
    if name == part.prefix:
        return len(part.fields) == 1
    return name in (field.name, f"{part.prefix}.{field.name}")


def map_rows(layout: Layout, store: MapStore, readings: Sequence[Reading]) -> Rows:
    """Return the entries of some readings of a map; per-CPU values have the CPUs in axis 1."""
    keys: list[Array] = []
    values: list[Array] = []
    for reading in readings:
        more_keys, more_values = store.arrays(reading)
        keys += more_keys
        values += more_values
    no_keys = np.empty(0, store.key_type)
    no_values = np.empty((0, *store.shape), store.value_type)
    return Rows(
        (Part("key", layout.key, keys, no_keys), Part("value", layout.value, values, no_values))
    )


def record_rows(layout: Layout, batches: Sequence[tuple[Batch, int]]) -> Rows:
    """Return the records of some batches, without the first ones of each that are skipped."""
    fields = layout.value
    if records.is_flexible(fields):
        fields = records.fitted(fields, max((_longest(batch) for batch, _ in batches), default=0))
    arrays = [_records(batch, fields)[skip:] for batch, skip in batches]
    empty = np.empty(0, records.dtype_of(fields, max(records.span(fields), 1)))
    return Rows((Part("", fields, arrays, empty),), _time_order(batches))


def _longest(batch: Batch) -> int:
    found = batch.found or records.strided(batch.payload, batch.stride)
    return int(found.lengths.max())


def _records(batch: Batch, fields: tuple[Field, ...]) -> Array:
    if batch.found is None:
        return records.records(batch.payload, Layout("", "ring", value=fields), batch.stride)
    return records.structured(batch.payload, batch.found, fields)


def _time_order(batches: Sequence[tuple[Batch, int]]) -> Array | None:
    """Return the order by time of perf samples, which come CPU by CPU; None if already sorted."""
    times = [batch.samples.time[skip:] for batch, skip in batches if batch.samples]
    if not times:
        return None
    time = np.concatenate(times)
    return None if bool((time[1:] >= time[:-1]).all()) else np.argsort(time, kind="stable")


def combined(raw: Array, kind: str) -> Array:
    """Combine the CPUs' values in axis 1: add them up, or keep the largest."""
    if raw.dtype.kind in "iuf":
        result: Array = raw.sum(axis=1) if is_additive(kind) else raw.max(axis=1)
        return result
    as_bytes = np.ascontiguousarray(raw).view(np.uint8)
    filled = as_bytes.reshape((*raw.shape[:2], raw.dtype.itemsize)).any(axis=2)
    chosen: Array = raw[np.arange(len(raw)), filled.argmax(axis=1)]
    return chosen


def owned(block: Mapping[str, Any]) -> dict[str, Any]:
    """Return the columns of a block that is a whole table; views of its bytes become copies."""
    return {
        name: values.copy()
        if isinstance(values, np.ndarray) and values.base is not None
        else values
        for name, values in block.items()
    }


_MISSING = "\0missing"  # after a column's name: which of its numbers are missing


class Joined:
    """Joins a table's columns from those of its blocks.

    Each block is copied to its place and freed, so that a large table takes its own memory plus
    one block's, not twice its own.
    """

    def __init__(self, total: int) -> None:
        self.total = total
        self._filled = 0
        self._arrays: dict[str, Array] = {}
        self._texts: dict[str, list[Any]] = {}
        self._order: dict[str, Any] = {}

    def add(self, block: Mapping[str, Any]) -> None:
        """Take the columns of the next block."""
        end = self._filled
        for name, values in block.items():
            self._order.setdefault(name, values.dtype)
            if isinstance(values.dtype, pd.StringDtype):
                self._texts.setdefault(name, []).append(pa.array(values))
                continue
            end = self._filled + len(values)
            for part, raw in _parts(name, values):
                if part not in self._arrays:
                    self._arrays[part] = np.empty(self.total, raw.dtype)
                self._arrays[part][self._filled : end] = raw
        self._filled = end

    def columns(self) -> dict[str, Any]:
        """Return the whole columns, in the order they were first given."""
        return {name: self._column(name, dtype) for name, dtype in self._order.items()}

    def _column(self, name: str, dtype: Any) -> Any:
        if name in self._texts:
            chunks = [chunk for text in self._texts[name] for chunk in _chunks(text)]
            return as_text(pa.chunked_array(chunks, pa.large_string()))
        if isinstance(dtype, pd.DatetimeTZDtype):
            return pd.array(self._arrays[name], dtype="datetime64[ns, UTC]", copy=False)
        if isinstance(dtype, pd.Int64Dtype):
            return pd.arrays.IntegerArray(self._arrays[name], self._arrays[name + _MISSING])
        return self._arrays[name]


def _parts(name: str, values: Any) -> list[tuple[str, Array]]:
    """Return the arrays that make up a block of a column, by name."""
    if isinstance(values.dtype, pd.DatetimeTZDtype):
        return [(name, values.asi8)]
    if isinstance(values.dtype, pd.Int64Dtype):
        numbers = values.to_numpy(dtype=np.int64, na_value=0)
        return [(name, numbers), (name + _MISSING, values.isna())]
    return [(name, values)]


def _chunks(text: Any) -> list[Any]:
    return text.chunks if isinstance(text, pa.ChunkedArray) else [text]
