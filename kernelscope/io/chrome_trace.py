"""Events as Chrome trace JSON, for Perfetto and chrome://tracing.

Each event becomes a slice on its thread's track. The receipt is in the trace's `otherData`.

Source: the Trace Event Format document of the Chromium project.
"""

from __future__ import annotations

import gzip
import json
import math
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from kernelscope.analysis.measure import measured
from kernelscope.errors import AnalysisError
from kernelscope.io.atomic_write import PathLike, write_bytes
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
    other tables are left out. duration: the column with the time that an event took,
    found automatically where there is one; an event without one is an instant.

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
            hint="a trace shows single events: biosnoop, opensnoop, execsnoop have some",
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
    return write_bytes(path, packed)


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
    """Return a table with values that JSON has: no NaN and no infinity."""
    plain = table.astype(object).where(table.notna(), None)
    return plain.replace({math.inf: "inf", -math.inf: "-inf"})


def _durations(table: pd.DataFrame, column: str | None) -> list[float] | list[None]:
    """Return how long each event took, in microseconds; None for tables without a duration."""
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
