"""The fields of a table's rows, put together from the batches or readings they came in."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from kernelscope import decode
from kernelscope.agent.protocol import Field, Layout
from kernelscope.decode import Array
from kernelscope.store import Batch, MapStore, Reading

# Kinds whose per-CPU values add up; of other numbers (a time, a pid) the largest is kept.
_SUMMED = ("integer", "float", "duration", "count")
_ELEMENT = re.compile(r"(.+)\[(\d+)\]\Z")


@dataclass(frozen=True)
class Part:
    """Fields of the same rows: a map's keys or values, or records. arrays: parts, in order."""

    prefix: str
    fields: tuple[Field, ...]
    arrays: list[Array]
    empty: Array


class Rows:
    """Fields of a table's rows by name, each put together from its parts when asked for."""

    def __init__(self, parts: Sequence[Part], order: Array | None = None) -> None:
        self.parts = parts
        self.order = order

    def get(self, name: str) -> Array | None:
        """Return a field: "pid", "key", "key.pid", "value.sizes[3]"; None where there is none."""
        found = self._field(name)
        if found is not None:
            return found
        element = _ELEMENT.match(name)
        if element is None or (found := self._field(element[1])) is None:
            return None
        index = int(element[2])
        result: Array | None = found[..., index] if index < found.shape[-1] else None
        return result

    def is_key(self, name: str) -> bool:
        """Tell whether `get` finds that field in a map's key."""
        base = _ELEMENT.sub(r"\1", name)
        return any(
            part.prefix == "key" and any(_named(part, field, base) for field in part.fields)
            for part in self.parts
        )

    def _field(self, name: str) -> Array | None:
        for part in self.parts:
            for field in part.fields:
                if _named(part, field, name):
                    arrays = part.arrays or [part.empty]
                    values = np.concatenate([decode.column(rows, field) for rows in arrays])
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
    """Return the records of some batches, without the first of each that are to be skipped."""
    fields = layout.value
    if decode.is_flexible(fields):
        fields = decode.fitted(fields, max((_longest(batch) for batch, _ in batches), default=0))
    arrays = [_records(batch, fields)[skip:] for batch, skip in batches]
    empty = np.empty(0, decode.dtype_of(fields, max(decode.span(fields), 1)))
    return Rows((Part("", fields, arrays, empty),), _time_order(batches))


def _longest(batch: Batch) -> int:
    found = batch.found or decode.strided(batch.payload, batch.stride)
    return int(found.lengths.max())


def _records(batch: Batch, fields: tuple[Field, ...]) -> Array:
    if batch.found is None:
        return decode.records(batch.payload, Layout("", "ring", value=fields), batch.stride)
    return decode.structured(batch.payload, batch.found, fields)


def _time_order(batches: Sequence[tuple[Batch, int]]) -> Array | None:
    """Return the order by time of perf samples, which come CPU by CPU; None if they have it."""
    times = [batch.samples.time[skip:] for batch, skip in batches if batch.samples]
    if not times:
        return None
    time = np.concatenate(times)
    return None if bool((time[1:] >= time[:-1]).all()) else np.argsort(time, kind="stable")


def combined(raw: Array, kind: str) -> Array:
    """Make one value of the CPUs' values in axis 1."""
    if raw.dtype.kind in "iuf":
        result: Array = raw.sum(axis=1) if kind in _SUMMED else raw.max(axis=1)
        return result
    as_bytes = np.ascontiguousarray(raw).view(np.uint8)
    filled = as_bytes.reshape((*raw.shape[:2], raw.dtype.itemsize)).any(axis=2)
    chosen: Array = raw[np.arange(len(raw)), filled.argmax(axis=1)]
    return chosen
