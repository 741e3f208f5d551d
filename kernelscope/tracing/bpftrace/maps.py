"""A script's maps as tables: one row for each key, or for each bucket of a histogram.

A map that was printed more than once has all its readings, with their times in a column "time".
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pandas as pd

from kernelscope.tables.attrs import KEY, READINGS
from kernelscope.tracing.bpftrace import keys
from kernelscope.tracing.bpftrace.keys import Key
from kernelscope.tracing.bpftrace.messages import Pairs, plain

KINDS = ("map", "stats", "hist", "lhist", "tseries")
_LARGEST = 2**63 - 1
_GROWING_COLUMNS = {
    "count": ("value",),
    "sum": ("value",),
    "hist": ("count",),
    "lhist": ("count",),
    "stats": ("count", "total"),
}


@dataclass
class Map:
    """One map and its readings: (kind of message, value, time)."""

    name: str
    readings: list[tuple[str, Any, int]] = field(default_factory=list)

    def add(self, kind: str, value: Any, at_ns: int) -> None:
        """Add a reading."""
        self.readings.append((kind, value, at_ns))

    def table(
        self, parts: Sequence[Key], growing: str | None, *, keyed: bool = True
    ) -> pd.DataFrame:
        """Return the map as a table.

        growing: how it grows, None where it may shrink. keyed: whether the script gives it keys; a
        map without may hold a record.
        """
        readings = self.readings
        if growing is not None and len(readings) > 1 and readings[-1][1] == readings[-2][1]:
            readings = readings[:-1]  # bpftrace prints every map at its end, again
        entries = [
            (text, kind, value, at_ns)
            for kind, data, at_ns in readings
            for text, value in _entries(data, keyed)
        ]
        texts = [text for text, *_ in entries if text is not None]
        split = (keys.split(texts, parts) if parts else None) or keys.whole(texts)
        columns = iter(split)
        rows = []
        for text, kind, value, at_ns in entries:
            head = {} if len(readings) < 2 else {"time": at_ns}
            key = {} if text is None else next(columns)
            rows += [{**head, **key, **row} for row in _rows(kind, value)]
        table = _added(pd.DataFrame(rows), growing, len(texts))
        if len(readings) > 1:
            table["time"] = pd.to_datetime(table["time"], unit="ns", utc=True)
            if growing is not None:
                grow = {name: "sum" for name in _GROWING_COLUMNS[growing] if name in table}
                table.attrs[KEY] = {READINGS: grow}
        return table


def _entries(data: Any, keyed: bool) -> list[tuple[str | None, Any]]:
    """Return a map's (key, value) pairs; the key of one without keys is None."""
    if keyed and isinstance(data, Pairs) and not _is_stats(data):
        return list(data)
    return [(None, data)]


def _is_stats(value: Any) -> bool:
    return isinstance(value, Pairs) and {name for name, _ in value} == {"count", "average", "total"}


def _rows(kind: str, value: Any) -> list[dict[str, Any]]:
    """Return the value columns of one key: one row, or one for each of a histogram's buckets."""
    if isinstance(value, list) and value and isinstance(value[0], Pairs):
        buckets = [dict(bucket) for bucket in value]
        if kind == "tseries":
            return [{name: plain(part) for name, part in bucket.items()} for bucket in buckets]
        return [_bucket(bucket) for bucket in buckets if bucket.get("count")]
    if kind in ("hist", "lhist") and value == []:
        return []
    if isinstance(value, Pairs):
        return [{name: plain(part) for name, part in value}]
    if isinstance(value, list):
        return [{f"value{n + 1}": plain(part) for n, part in enumerate(value)}]
    return [{"average" if kind == "stats" else "value": value}]


def _bucket(bucket: Mapping[str, Any]) -> dict[str, Any]:
    """Return one bucket; those at a linear histogram's ends are open."""
    low = bucket.get("min", -_LARGEST)
    high = min(bucket["max"] + 1, _LARGEST) if "max" in bucket else _LARGEST
    return {"value_low": low, "value_high": high, "count": bucket["count"]}


def _added(table: pd.DataFrame, growing: str | None, keyed: int) -> pd.DataFrame:
    """Add up the rows of keys that print alike, as stacks of several processes do."""
    numbers = _GROWING_COLUMNS.get(growing or "", ())
    if not keyed or growing == "stats" or not set(numbers) <= set(table.columns):
        return table
    others = [name for name in table.columns if name not in numbers]
    if not table.duplicated(others).any():
        return table
    added = table.groupby(others, sort=False, dropna=False, as_index=False)[list(numbers)].sum()
    return pd.DataFrame(added[list(table.columns)])
