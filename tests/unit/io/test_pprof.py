"""Stacks become a pprof profile that protocol buffers can read."""

from __future__ import annotations

import gzip
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from unit.builders.stack_tables import stacks

from kernelscope.errors import AnalysisError
from kernelscope.io import pprof

BEGAN = pd.Timestamp("2026-11-22T08:00:00Z")


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
    path = pprof.to_pprof(stacks(), tmp_path / "cpu.pb.gz")
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
    path = pprof.to_pprof(stacks(), tmp_path / "cpu.pb.gz", "total_us")
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


def test_a_process_name_with_separators_is_one_frame(tmp_path: Path) -> None:
    table = stacks().assign(comm=["pool;1", "a\nb"])
    profile = parsed(gzip.decompress(pprof.to_pprof(table, tmp_path / "x.pb.gz").read_bytes()))

    texts = [item.decode() for item in profile[6]]
    assert {"pool;1", "a\nb"} <= set(texts)


def test_a_table_without_stacks_is_no_profile(tmp_path: Path) -> None:
    with pytest.raises(AnalysisError, match="no stacks"):
        pprof.to_pprof(pd.DataFrame({"pid": [7]}), tmp_path / "cpu.pb.gz")
    with pytest.raises(AnalysisError, match="no column 'nosuch'"):
        pprof.to_pprof(stacks(), tmp_path / "cpu.pb.gz", "nosuch")


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
