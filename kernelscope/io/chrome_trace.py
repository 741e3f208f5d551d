"""Events as Chrome trace JSON, for Perfetto and chrome://tracing.

Each duration of an event becomes a slice on its thread's track, before or after the event's time as
the probe says; an event without one is an instant. Maps that were read at intervals become
counters. The receipt is in the trace's `otherData`.

Source: the Trace Event Format document of the Chromium project.
"""

from __future__ import annotations

import gzip
import json
import math
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path, PurePosixPath
from typing import Any

import pandas as pd
from pandas.api import types

from kernelscope.analysis import readings
from kernelscope.analysis.measure import measured
from kernelscope.errors import AnalysisError
from kernelscope.io.atomic_write import PathLike, write_bytes
from kernelscope.probe import catalogue
from kernelscope.tables.attrs import KEY, receipt_of
from kernelscope.tables.results import by_name
from kernelscope.units import NANOSECONDS

# A slice is named by the first of these that its table has.
_NAMES = ("syscall", "operation", "path", "function", "reason", "signal", "comm")
_PLACE = ("time", "pid", "tid", "comm")
_MOST_SERIES = 10  # of a counter; the smaller ones are added up as "other"


def to_chrome_trace(
    result: pd.DataFrame | Mapping[str, Any], path: PathLike, *, duration: str | None = None
) -> Path:
    """Write events as Chrome trace JSON, gzipped where the path ends in .gz. Returns the path.

    result: a table with a "time" column, or a mapping of tables (several probes of one run), whose
    other tables are left out. duration: the one column with the time that an event took; without
    it, all durations of a table become slices.

    Raises AnalysisError where no table has times, ExportError.
    """
    tables = {
        name or _title(table): table[table["time"].notna()]
        for name, table in by_name(result).items()
        if "time" in table.columns and types.is_datetime64_any_dtype(table["time"])
    }
    if not tables:
        raise AnalysisError(
            "the result has no events with a time",
            hint="a trace shows single events: biosnoop, opensnoop, execsnoop have some",
            column="time",
        )
    starts = [table["time"].min() for table in tables.values() if len(table)]
    epoch = min(starts) if starts else pd.Timestamp(0, tz="UTC")
    events: list[dict[str, Any]] = []
    for name, table in tables.items():
        if readings.growing(table):
            events += _counters(name, table, epoch)
        else:
            events += _slices(name, table, epoch, duration)
    first = min([0.0, *(event["ts"] for event in events)])  # of a slice that began before all rows
    for event in events:
        event["ts"] = round(event["ts"] - first, 3)
    epoch += pd.Timedelta(round(first * 1e3), "ns")
    receipts = {name: receipt_of(table) for name, table in tables.items()}
    document = {
        "traceEvents": [*_names_of_tasks(tables.values()), *events],
        "displayTimeUnit": "ns",
        "otherData": {"epoch": epoch.isoformat(), KEY: receipts},
    }
    text = json.dumps(document, default=str).encode()
    packed = gzip.compress(text) if str(path).endswith(".gz") else text
    return write_bytes(path, packed)


def _title(table: pd.DataFrame) -> str:
    return str(receipt_of(table).get("name", "events"))


# --- slices ---------------------------------------------------------------------------------------


def _slices(
    name: str, table: pd.DataFrame, epoch: pd.Timestamp, duration: str | None
) -> list[dict[str, Any]]:
    """Return a slice for each duration of each row; an instant for a row without one."""
    at_us = ((table["time"] - epoch) / pd.Timedelta(1, "us")).tolist()
    rest = [str(column) for column in table.columns if column not in _PLACE]
    labels = _labels(name, table)
    pids = _numbers(table, "pid")
    tids = _numbers(table, "tid") if "tid" in table.columns else pids
    arguments: list[dict[Any, Any]] = _plain(table[rest]).to_dict("records")
    spans = _spans(table, duration)
    lengths = {column: _microseconds(table[column]) for column in spans}
    events = []
    for row, (at, label, pid, tid, args) in enumerate(
        zip(at_us, labels, pids, tids, arguments, strict=True)
    ):
        event = {"cat": name, "pid": pid, "tid": tid, "args": args}
        if not spans:
            events.append({**event, "name": label, "ph": "i", "s": "t", "ts": round(at, 3)})
        for column, before in spans.items():
            length = lengths[column][row]
            title = label if len(spans) == 1 else f"{label}: {column.rpartition('_')[0]}"
            start = at - length if before else at
            times = {"ts": round(start, 3), "dur": round(length, 3)}
            events.append({**event, "name": title, "ph": "X", **times})
    return [each for event in _nested(events) for each in event]


def _labels(name: str, table: pd.DataFrame) -> list[str]:
    column = next((column for column in _NAMES if column in table.columns), None)
    if column is None:
        return [name] * len(table)
    texts: list[str] = table[column].astype("str").tolist()
    return [PurePosixPath(text).name or text for text in texts] if column == "path" else texts


def _spans(table: pd.DataFrame, duration: str | None) -> dict[str, bool]:
    """Return the durations of a table, and whether each ended at the row's time."""
    known = _known_spans(table)
    if duration is not None:
        measured(table, duration)  # raises AnalysisError for a column that is none
        return {duration: known.get(duration) == "before"}
    if known:
        return {name: how == "before" for name, how in known.items() if name in table.columns}
    try:
        measure = measured(table, None)
    except AnalysisError:
        return {}
    if measure.is_histogram or measure.unit not in NANOSECONDS:
        return {}
    return {measure.low: False}


def _known_spans(table: pd.DataFrame) -> dict[str, Any]:
    """Return the spans in the receipt; those of the probe, where an older receipt has none."""
    receipt = receipt_of(table)
    found = receipt.get("spans")
    if isinstance(found, Mapping):
        return dict(found)
    name = receipt.get("probe")
    if not isinstance(name, str) or name not in catalogue.names():
        return {}
    return {
        column.name: "before" if column.until_time else "after"
        for spec in catalogue.find(name).tables
        if spec.name == receipt.get("table", spec.name)
        for column in spec.columns
        if column.kind == "duration"
    }


def _microseconds(values: pd.Series) -> list[float]:
    unit = NANOSECONDS.get(str(values.name).rpartition("_")[2], 1) / 1e3
    return [max(0.0, value * unit) for value in values.fillna(0.0).tolist()]


def _nested(events: list[dict[str, Any]]) -> Iterator[list[dict[str, Any]]]:
    """Yield the events; slices that overlap another of their thread become asynchronous ones.

    The format allows slices of a thread inside each other, and not partly over each other.
    """
    ends: dict[tuple[int, int], list[float]] = {}
    for number, event in enumerate(sorted(events, key=lambda e: (e["ts"], -e.get("dur", 0.0)))):
        if event["ph"] != "X":
            yield [event]
            continue
        start, end = event["ts"], event["ts"] + event["dur"]
        open_ends = ends.setdefault((event["pid"], event["tid"]), [])
        while open_ends and open_ends[-1] <= start:
            open_ends.pop()
        if not open_ends or end <= open_ends[-1]:
            open_ends.append(end)
            yield [event]
            continue
        place = {key: event[key] for key in ("name", "cat", "pid", "tid")}
        begin = {**place, "ph": "b", "id": number, "ts": event["ts"], "args": event["args"]}
        yield [begin, {**place, "ph": "e", "id": number, "ts": round(end, 3)}]


# --- counters -------------------------------------------------------------------------------------


def _counters(name: str, table: pd.DataFrame, epoch: pd.Timestamp) -> list[dict[str, Any]]:
    """Return what each reading of a map added, as a counter with a series for each group."""
    added = readings.increments(table)
    value = next(column for column, how in readings.growing(table).items() if how == "sum")
    group = _group(added, value)
    if group is None:
        summed = added.groupby("time")[value].sum().to_frame(value)
    else:
        summed = added.pivot_table(index="time", columns=group, values=value, aggfunc="sum")
        order = summed.sum().sort_values(ascending=False).index
        rest = summed[order[_MOST_SERIES:]].sum(axis=1)
        summed = summed[order[:_MOST_SERIES]].fillna(0)
        if len(order) > _MOST_SERIES:
            summed["other"] = rest
    at_us = [(time - epoch) / pd.Timedelta(1, "us") for time in summed.index]
    rows = summed.to_dict("records")
    return [
        {"name": name, "cat": name, "ph": "C", "pid": 0, "ts": round(at, 3),
         "args": {str(key): number for key, number in row.items()}}
        for at, row in zip(at_us, rows, strict=True)
    ]  # fmt: skip


def _group(table: pd.DataFrame, value: str) -> str | None:
    """Return the first column of text, which the counter's series are named by."""
    texts = (
        str(name)
        for name in table.columns
        if name not in ("time", value) and not types.is_numeric_dtype(table[name])
    )
    return next(texts, None)


# --- values ---------------------------------------------------------------------------------------


def _plain(table: pd.DataFrame) -> pd.DataFrame:
    """Return a table with values that JSON has: no NaN and no infinity."""
    plain = table.astype(object).where(table.notna(), None)
    return plain.replace({math.inf: "inf", -math.inf: "-inf"})


def _numbers(table: pd.DataFrame, column: str) -> list[int]:
    if column not in table.columns:
        return [0] * len(table)
    return [int(value) for value in table[column].fillna(0)]


def _names_of_tasks(tables: Iterable[pd.DataFrame]) -> Iterator[dict[str, Any]]:
    """Yield the names of processes and threads."""
    processes: dict[int, str] = {}
    threads: dict[tuple[int, int], str] = {}
    for table in tables:
        if {"pid", "comm"} <= set(table.columns):
            pids, names = _numbers(table, "pid"), table["comm"].astype("str").tolist()
            processes.update(zip(pids, names, strict=True))
            if "tid" in table.columns:
                tids = _numbers(table, "tid")
                threads.update(zip(zip(pids, tids, strict=True), names, strict=True))
    for pid, name in processes.items():
        yield {"name": "process_name", "ph": "M", "pid": pid, "args": {"name": name}}
    for (pid, tid), name in threads.items():
        yield {"name": "thread_name", "ph": "M", "pid": pid, "tid": tid, "args": {"name": name}}
