"""Results for other viewers: Chrome trace JSON (Perfetto, chrome://tracing) and pprof.

Events become slices on their thread's track; stacks become samples. The receipt goes along: as the
trace's `otherData`, as pprof's comment.

Sources: the Trace Event Format document of the Chromium project; proto/profile.proto of
google/pprof.
"""

from __future__ import annotations

import gzip
import json
import math
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from kernelscope.analysis import readings, stack_tree
from kernelscope.analysis.measure import measured, unknown_column
from kernelscope.errors import AnalysisError
from kernelscope.io import tabular
from kernelscope.io.tabular import PathLike
from kernelscope.tables.attrs import KEY, receipt_of
from kernelscope.tables.results import by_name
from kernelscope.units import NANOSECONDS

# A slice is named by the first of these that its table has.
_NAMES = ("syscall", "operation", "path", "function", "reason", "signal", "comm")
_PLACE = ("time", "pid", "tid", "comm")


# --- Chrome's trace events -----------------------------------------------------------------------


def to_chrome_trace(
    result: pd.DataFrame | Mapping[str, Any], path: PathLike, *, duration: str | None = None
) -> Path:
    """Write events as Chrome trace JSON, gzipped where the path ends in .gz. Returns the path.

    result: a table with a "time" column, or a mapping of tables (several probes of one run), whose
    other tables are left out. duration: the column that says how long an event took, found by
    itself where there is one; an event without is an instant.

    Raises AnalysisError where no table has times, ExportError.
    """
    tables = {
        name or _title(table): table
        for name, table in by_name(result).items()
        if "time" in table.columns and pd.api.types.is_datetime64_any_dtype(table["time"])
    }
    if not tables:
        raise AnalysisError(
            "the result has no events with a time",
            hint="a trace shows single events: biosnoop, opensnoop, execsnoop give some",
            column="time",
        )
    starts = [table["time"].min() for table in tables.values() if len(table)]
    epoch = min(starts) if starts else pd.Timestamp(0, tz="UTC")
    events = [e for name, table in tables.items() for e in _slices(name, table, epoch, duration)]
    receipts = {name: receipt_of(table) for name, table in tables.items()}
    document = {
        "traceEvents": [*_process_names(tables.values()), *events],
        "displayTimeUnit": "ns",
        "otherData": {"epoch": epoch.isoformat(), KEY: receipts},
    }
    text = json.dumps(document, default=str).encode()
    packed = gzip.compress(text) if str(path).endswith(".gz") else text
    return tabular.write_file(path, packed)


def _title(table: pd.DataFrame) -> str:
    return str(receipt_of(table).get("name", "events"))


def _slices(
    name: str, table: pd.DataFrame, epoch: pd.Timestamp, duration: str | None
) -> Iterator[dict[str, Any]]:
    """Yield an event for each row with a time: a slice where it took some, else an instant."""
    table = table[table["time"].notna()]
    since_us = ((table["time"] - epoch) / pd.Timedelta(1, "us")).tolist()
    took = _durations(table, duration)
    rest = [str(column) for column in table.columns if column not in _PLACE]
    label = next((column for column in _NAMES if column in table.columns), None)
    labels = table[label].astype("str").tolist() if label else [name] * len(table)
    pids = _numbers(table, "pid")
    tids = _numbers(table, "tid") if "tid" in table.columns else pids
    arguments: list[dict[Any, Any]] = _plain(table[rest]).to_dict("records")
    for at, text, pid, tid, args, us in zip(
        since_us, labels, pids, tids, arguments, took, strict=True
    ):
        event = {"name": text, "cat": name, "ts": round(at, 3), "pid": pid, "tid": tid}
        kind = {"ph": "i", "s": "t"} if us is None else {"ph": "X", "dur": round(us, 3)}
        yield {**event, **kind, "args": args}


def _plain(table: pd.DataFrame) -> pd.DataFrame:
    """Return a table whose values JSON has: it knows neither what is no number nor infinity."""
    plain = table.astype(object).where(table.notna(), None)
    return plain.replace({math.inf: "inf", -math.inf: "-inf"})


def _durations(table: pd.DataFrame, column: str | None) -> list[float] | list[None]:
    """Return how long each event took, in microseconds; None for tables that do not say."""
    try:
        measure = measured(table, column)
    except AnalysisError:
        if column is not None:
            raise
        return [None] * len(table)
    if measure.is_histogram or measure.unit not in NANOSECONDS:
        return [None] * len(table)
    return [value * (NANOSECONDS[measure.unit] / 1e3) for value in table[measure.low].fillna(0.0)]


def _numbers(table: pd.DataFrame, column: str) -> list[int]:
    if column not in table.columns:
        return [0] * len(table)
    return [int(value) for value in table[column].fillna(0)]


def _process_names(tables: Iterable[pd.DataFrame]) -> Iterator[dict[str, Any]]:
    names: dict[int, str] = {}
    for table in tables:
        if {"pid", "comm"} <= set(table.columns):
            names.update(zip(_numbers(table, "pid"), table["comm"].astype("str"), strict=True))
    for pid, name in names.items():
        yield {"name": "process_name", "ph": "M", "pid": pid, "args": {"name": name}}


# --- pprof ---------------------------------------------------------------------------------------


def to_pprof(df: pd.DataFrame, path: PathLike, value: str | None = None) -> Path:
    """Write a table with stacks as a gzipped pprof profile. Returns the path.

    value: the column that is added up: "count", or a duration ("total_us" becomes nanoseconds); by
    default the one that the probe says.
    A process's name is the root frame. Raises AnalysisError where the table has no stacks.
    """
    kinds = stack_tree.stack_columns(df)
    if not kinds:
        raise AnalysisError(
            "the table has no stacks", hint="%ebpf profile gives some", column="user_stack"
        )
    df = readings.last(df)
    value = value or stack_tree.value_of(df)
    if value not in df.columns and value != "count":
        raise unknown_column(df, value)
    profile = _Profile()
    unit = value.rpartition("_")[2]
    scale = NANOSECONDS.get(unit, 1)
    profile.message(1, _value_type(profile, value.removesuffix(f"_{unit}"), unit in NANOSECONDS))
    amounts = df[value].tolist() if value in df.columns else [1] * len(df)
    columns = [df[name].astype("str").tolist() for name in ("comm", *kinds) if name in df.columns]
    for amount, *parts in zip(amounts, *columns, strict=True):
        frames = [frame for part in parts for frame in part.split(";") if frame]
        profile.sample(frames, round(amount * scale))
    return tabular.write_file(path, gzip.compress(profile.finish(receipt_of(df))))


def _value_type(profile: _Profile, name: str, is_time: bool) -> bytes:
    unit = "nanoseconds" if is_time else "count"
    return _field(1, profile.text(name)) + _field(2, profile.text(unit))


class _Profile:
    """A profile in the making: numbers stand for its texts and functions."""

    def __init__(self) -> None:
        self._out = bytearray()
        self._texts: dict[str, int] = {"": 0}
        self._functions: dict[str, int] = {}

    def text(self, text: str) -> int:
        """Return a text's place in the table of texts."""
        return self._texts.setdefault(text, len(self._texts))

    def message(self, number: int, body: bytes) -> None:
        """Add a field that is a message."""
        self._out += _bytes(number, body)

    def sample(self, frames: list[str], amount: int) -> None:
        """Add one sample; frames: root first."""
        places = b"".join(_varint(self._location(frame)) for frame in reversed(frames))
        self.message(2, _bytes(1, places) + _bytes(2, _varint(amount)))

    def _location(self, name: str) -> int:
        """Return a function's location; both have one number."""
        if name not in self._functions:
            number = self._functions[name] = len(self._functions) + 1
            self.message(5, _field(1, number) + _field(2, self.text(name)))
            line = _field(1, number)
            self.message(4, _field(1, number) + _bytes(4, line))
        return self._functions[name]

    def finish(self, receipt: Mapping[str, Any]) -> bytes:
        """Return the whole profile, with the receipt as its comment."""
        comment = _field(13, self.text(json.dumps(receipt, default=str)))
        started = receipt.get("started")
        begun = int(pd.Timestamp(str(started)).value) if started else 0
        lasted = round(float(receipt.get("duration_s") or 0) * 1e9)
        texts = b"".join(_bytes(6, text.encode()) for text in self._texts)
        return bytes(self._out) + texts + _field(9, begun) + _field(10, lasted) + comment


def _varint(number: int) -> bytes:
    """Return a number as protocol buffers write it: seven bits a byte, the lowest first."""
    if number < 0:
        number += 1 << 64
    out = bytearray()
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    out.append(number)
    return bytes(out)


def _field(number: int, value: int) -> bytes:
    return _varint(number << 3) + _varint(value)


def _bytes(number: int, body: bytes) -> bytes:
    return _varint(number << 3 | 2) + _varint(len(body)) + body
