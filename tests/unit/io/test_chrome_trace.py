"""Events become a Chrome trace: what happened, when, on which thread."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from unit.builders.stack_tables import stacks

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


def trace(path: Path) -> dict[str, Any]:
    loaded: dict[str, Any] = json.loads(path.read_text())
    return loaded


def test_an_event_that_took_time_is_a_slice_on_its_thread(tmp_path: Path) -> None:
    written = trace(chrome_trace.to_chrome_trace(events(), tmp_path / "trace.json"))

    first, second = [e for e in written["traceEvents"] if e["ph"] == "X"]
    assert (first["ts"], first["dur"], first["pid"], first["tid"]) == (0, 250, 7, 7)
    assert (second["ts"], second["dur"], second["tid"]) == (2.5, 2000, 9)
    assert (first["name"], first["cat"]) == ("a", "opensnoop")
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


def test_a_trace_of_nan_and_infinity_is_json(tmp_path: Path) -> None:
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

    assert len(json.loads(gzip.decompress(path.read_bytes()))["traceEvents"]) == 6


def test_a_table_without_times_is_no_trace(tmp_path: Path) -> None:
    with pytest.raises(AnalysisError, match="no events with a time"):
        chrome_trace.to_chrome_trace(stacks(), tmp_path / "trace.json")


def of_probe(name: str, table: str, **columns: list[object]) -> pd.DataFrame:
    time = BEGAN + pd.to_timedelta(range(len(next(iter(columns.values())))), unit="s")
    frame = pd.DataFrame({"time": time, **columns})
    frame.attrs["kernelscope"] = {"name": name, "probe": name, "table": table, "lost": {}}
    return frame


def slices(path: Path) -> list[dict[str, Any]]:
    return [each for each in trace(path)["traceEvents"] if each["ph"] == "X"]


def test_a_slice_ends_at_the_time_of_a_row_that_was_timed_at_its_end(tmp_path: Path) -> None:
    table = of_probe("tcplife", "connections", pid=[7, 7], duration_ms=[1500.0, 250.0])
    first, second = slices(chrome_trace.to_chrome_trace(table, tmp_path / "a.json"))

    assert (first["ts"], first["dur"]) == (0.0, 1_500_000.0)
    assert (second["ts"] + second["dur"], second["dur"]) == (2_500_000.0, 250_000.0)
    epoch = trace(tmp_path / "a.json")["otherData"]["epoch"]
    assert pd.Timestamp(epoch) == BEGAN - pd.Timedelta("1.5s")


def test_places_slices_of_a_custom_probe_by_its_receipt(tmp_path: Path) -> None:
    table = of_probe("custom", "waits", pid=[7], waited_us=[5.0], after_us=[3.0])
    table.attrs["kernelscope"]["spans"] = {"waited_us": "before", "after_us": "after"}
    found = slices(chrome_trace.to_chrome_trace(table, tmp_path / "a.json"))

    assert [(each["name"], each["ts"], each["dur"]) for each in found] == [
        ("custom: waited", 0.0, 5.0),
        ("custom: after", 5.0, 3.0),
    ]


def test_two_durations_are_two_slices_one_after_the_other(tmp_path: Path) -> None:
    table = of_probe("biosnoop", "ios", tid=[7], pid=[7], queued_us=[20.0], device_us=[80.0])
    queued, device = slices(chrome_trace.to_chrome_trace(table, tmp_path / "a.json"))

    assert (queued["ts"], queued["dur"]) == (0.0, 20.0)
    assert (device["ts"], device["dur"]) == (20.0, 80.0)
    assert queued["name"].endswith("queued")


def test_slices_of_a_thread_that_overlap_are_asynchronous(tmp_path: Path) -> None:
    table = of_probe("opensnoop", "opens", pid=[7, 7, 7], tid=[7, 7, 7],
                     duration_us=[1.5e6, 1.0e6, 10.0])  # fmt: skip
    found = trace(chrome_trace.to_chrome_trace(table, tmp_path / "a.json"))["traceEvents"]

    assert [each["ph"] for each in found if each["ph"] in "Xbe"] == ["X", "b", "e", "X"]
    begin, end = (each for each in found if each["ph"] in "be")
    assert (begin["id"], begin["ts"], end["ts"]) == (end["id"], 1_000_000.0, 2_000_000.0)


def test_readings_of_a_map_are_a_counter_of_what_each_added(tmp_path: Path) -> None:
    table = of_probe("syscount", "calls", comm=["a", "a", "a"], calls=[3, 5, 11])
    table.attrs["kernelscope"]["readings"] = {"calls": "sum"}
    found = trace(chrome_trace.to_chrome_trace(table, tmp_path / "a.json"))["traceEvents"]

    counters = [each for each in found if each["ph"] == "C"]
    assert sum(each["args"]["a"] for each in counters) == 11
    assert not [each for each in found if each["ph"] in "Xi"]


def test_processes_and_threads_have_names(tmp_path: Path) -> None:
    found = trace(chrome_trace.to_chrome_trace(events(), tmp_path / "a.json"))["traceEvents"]
    names = [(each["name"], each["args"]["name"]) for each in found if each["ph"] == "M"]

    assert sorted(names) == [
        ("process_name", "db"),
        ("process_name", "web"),
        ("thread_name", "db"),
        ("thread_name", "web"),
    ]
