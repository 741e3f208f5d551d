"""Exports for other viewers hold what the tables hold, in the formats' own terms."""

from __future__ import annotations

import gzip
import json
import shutil
import subprocess
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


# The fields that are written, as pprof's profile.proto numbers them.
SCHEMA = """
syntax = "proto3";
message Profile {
  repeated ValueType sample_type = 1;
  repeated Sample sample = 2;
  repeated Location location = 4;
  repeated Function function = 5;
  repeated string string_table = 6;
  int64 time_nanos = 9;
  int64 duration_nanos = 10;
  repeated int64 comment = 13;
}
message ValueType { int64 type = 1; int64 unit = 2; }
message Sample { repeated uint64 location_id = 1; repeated int64 value = 2; }
message Location { uint64 id = 1; repeated Line line = 4; }
message Line { uint64 function_id = 1; }
message Function { uint64 id = 1; int64 name = 2; }
"""


@pytest.mark.skipif(shutil.which("protoc") is None, reason="protoc is not installed")
def test_stacks_are_a_profile_that_protocol_buffers_can_read(tmp_path: Path) -> None:
    path = chrome_trace.to_pprof(stacks(), tmp_path / "cpu.pb.gz")
    (tmp_path / "profile.proto").write_text(SCHEMA)
    text = subprocess.run(
        ["protoc", f"-I{tmp_path}", "--decode=Profile", "profile.proto"],
        input=gzip.decompress(path.read_bytes()),
        capture_output=True,
        check=True,
    ).stdout.decode()

    for name in ("web", "main", "work", "wait", "entry", "sleep", "count"):
        assert f'string_table: "{name}"' in text
    assert text.count("\nsample {") == 2
    assert text.count("\nfunction {") == 6
    assert not [line for line in text.splitlines() if line.lstrip()[:1].isdigit()]  # unknown fields


def test_a_profiles_samples_are_leaf_first_and_add_up(tmp_path: Path) -> None:
    path = chrome_trace.to_pprof(stacks(), tmp_path / "cpu.pb.gz", "total_us")
    profile = parsed(gzip.decompress(path.read_bytes()))

    texts = [item.decode() for item in profile[6]]
    functions = {f[1][0]: texts[f[2][0]] for f in map(parsed, profile[5])}
    samples = {
        ";".join(functions[place] for place in varints(s[1][0])): varints(s[2][0])
        for s in map(parsed, profile[2])
    }
    assert samples == {"work;main;web": [1500], "sleep;entry;wait;main;web": [2500]}
    kind = parsed(profile[1][0])
    assert [texts[kind[1][0]], texts[kind[2][0]]] == ["total", "nanoseconds"]
    assert profile[9] == [int(BEGAN.value)]


def test_a_table_without_stacks_is_no_profile(tmp_path: Path) -> None:
    with pytest.raises(AnalysisError, match="no stacks"):
        chrome_trace.to_pprof(events(), tmp_path / "cpu.pb.gz")
    with pytest.raises(AnalysisError, match="no column 'nosuch'"):
        chrome_trace.to_pprof(stacks(), tmp_path / "cpu.pb.gz", "nosuch")


def parsed(data: bytes) -> dict[int, list[Any]]:
    """Read a message of varints and length-delimited fields."""
    found: dict[int, list[Any]] = {}
    at = 0
    while at < len(data):
        key, at = varint(data, at)
        value, at = varint(data, at)
        if key & 7 == 2:
            found.setdefault(key >> 3, []).append(data[at : at + value])
            at += value
        else:
            found.setdefault(key >> 3, []).append(value)
    return found


def varints(data: bytes) -> list[int]:
    found, at = [], 0
    while at < len(data):
        number, at = varint(data, at)
        found.append(number)
    return found


def varint(data: bytes, at: int) -> tuple[int, int]:
    number = shift = 0
    while True:
        number |= (data[at] & 0x7F) << shift
        shift += 7
        at += 1
        if data[at - 1] < 0x80:
            return number, at
