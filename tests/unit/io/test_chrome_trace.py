"""Events become a Chrome trace: what happened, when, on which thread."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from kernelscope.errors import AnalysisError
from kernelscope.io import chrome_trace

BEGAN = pd.Timestamp("2026-11-22T08:00:00Z")


def events() -> pd.DataFrame:
    frame = pd.DataFrame(
        {
            "time": BEGAN + pd.to_timedelta([1_000, 3_500], unit="ns"),
            "pid": [7, 8],
            "tid": [7, 9],
            "comm": ["web", "db"],
            "path": ["/a", "/b"],
            "duration_ms": [0.25, 2.0],
        }
    )
    frame.attrs["kernelscope"] = {"name": "opensnoop", "lost": {}}
    return frame


def stacks() -> pd.DataFrame:
    frame = pd.DataFrame(
        {
            "comm": ["web", "web"],
            "user_stack": ["main;work", "main;wait"],
            "kernel_stack": ["", "entry;sleep"],
            "count": [3, 5],
            "total_us": [1.5, 2.5],
        }
    )
    frame.attrs["kernelscope"] = {"name": "profile", "started": "2026-11-22T08:00:00+00:00"}
    return frame


def trace(path: Path) -> dict[str, Any]:
    loaded: dict[str, Any] = json.loads(path.read_text())
    return loaded


def test_an_event_that_took_time_is_a_slice_on_its_thread(tmp_path: Path) -> None:
    written = trace(chrome_trace.to_chrome_trace(events(), tmp_path / "trace.json"))

    first, second = [e for e in written["traceEvents"] if e["ph"] == "X"]
    assert (first["ts"], first["dur"], first["pid"], first["tid"]) == (0, 250, 7, 7)
    assert (second["ts"], second["dur"], second["tid"]) == (2.5, 2000, 9)
    assert (first["name"], first["cat"]) == ("/a", "opensnoop")
    assert first["args"]["duration_ms"] == 0.25
    names = {e["pid"]: e["args"]["name"] for e in written["traceEvents"] if e["ph"] == "M"}
    assert names == {7: "web", 8: "db"}
    assert written["otherData"]["epoch"] == "2026-11-22T08:00:00.000001+00:00"
    assert written["otherData"]["kernelscope"]["opensnoop"]["lost"] == {}


def test_tables_of_several_probes_share_one_time_axis(tmp_path: Path) -> None:
    later = events().drop(columns="duration_ms").assign(time=BEGAN + pd.Timedelta(1, "s"))
    result = {"opensnoop": events(), "other": {"seen": later, "counts": stacks()}}
    written = trace(chrome_trace.to_chrome_trace(result, tmp_path / "trace.json"))

    instants = [e for e in written["traceEvents"] if e["ph"] == "i"]
    assert {e["cat"] for e in instants} == {"other.seen"}
    assert {e["ts"] for e in instants} == {999_999}


def test_a_trace_is_json_whatever_stands_in_the_table(tmp_path: Path) -> None:
    table = events()
    first = table.index[0]
    table["share"] = np.linspace(0, 1, len(table))
    table.loc[first, "share"] = np.nan
    table.loc[table.index[1], "share"] = np.inf
    table["count"] = pd.array([None, *range(1, len(table))], dtype="Int64")
    path = chrome_trace.to_chrome_trace(table, tmp_path / "a.json")

    def refuse(constant: str) -> None:
        raise AssertionError(f"{constant} is no JSON")

    found = json.loads(path.read_text(), parse_constant=refuse)["traceEvents"]
    arguments = [event["args"] for event in found if event["ph"] != "M"]
    assert (arguments[0]["share"], arguments[1]["share"]) == (None, "inf")
    assert (arguments[0]["count"], arguments[1]["count"]) == (None, 1)


def test_a_trace_may_be_packed(tmp_path: Path) -> None:
    path = chrome_trace.to_chrome_trace(events(), tmp_path / "trace.json.gz")

    assert len(json.loads(gzip.decompress(path.read_bytes()))["traceEvents"]) == 4


def test_a_table_without_times_is_no_trace(tmp_path: Path) -> None:
    with pytest.raises(AnalysisError, match="no events with a time"):
        chrome_trace.to_chrome_trace(stacks(), tmp_path / "trace.json")
