"""`df.ks.save` writes what a file's name asks for, or says why it cannot."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pandas as pd
import pytest

import kernelscope
from kernelscope import accessor
from kernelscope.errors import AnalysisError, ExportError

accessor.register()


def events() -> pd.DataFrame:
    frame = pd.DataFrame(
        {
            "time": pd.Timestamp("2026-11-22T08:00:00Z") + pd.to_timedelta([1, 2], unit="us"),
            "pid": [7, 8],
            "comm": ["web", "db"],
            "latency_us": [1.5, 2.5],
        }
    )
    frame.attrs["kernelscope"] = {"name": "opensnoop", "lost": {"ring_full": 0}}
    return frame


def stacks() -> pd.DataFrame:
    return pd.DataFrame({"user_stack": ["main;work", "main;wait"], "count": [3, 5]})


@pytest.mark.parametrize("suffix", ["csv", "parquet", "json", "jsonl", "arrow", "feather"])
def test_a_table_comes_back_with_its_types_and_receipt(tmp_path: Path, suffix: str) -> None:
    path = events().ks.save(tmp_path / f"bio.{suffix}")

    back = kernelscope.read(path)
    pd.testing.assert_frame_equal(back, events())
    assert back.attrs == events().attrs


def test_events_are_a_trace_plain_or_packed(tmp_path: Path) -> None:
    plain = events().ks.save(tmp_path / "a.trace.json")
    packed = events().ks.save(tmp_path / "a.trace.json.gz")

    found = json.loads(plain.read_text())
    assert [each["ph"] for each in found["traceEvents"]].count("X") == 2
    assert json.loads(gzip.decompress(packed.read_bytes())) == found


@pytest.mark.parametrize(
    ("name", "begins"),
    [
        ("cpu.pb.gz", b"\x1f\x8b"),
        ("cpu.folded", b"main;wait 5\nmain;work 3\n"),
        ("cpu.speedscope.json", b'{"$schema": "https://www.speedscope.app/'),
        ("cpu.html", b"<!"),
        ("cpu.svg", b"<?xml"),
        ("cpu.png", b"\x89PNG"),
    ],
)
def test_stacks_are_what_the_name_says(tmp_path: Path, name: str, begins: bytes) -> None:
    assert stacks().ks.save(tmp_path / name).read_bytes().startswith(begins)


def test_a_picture_of_events_is_their_default_one(tmp_path: Path) -> None:
    assert b"latency" in events().ks.save(tmp_path / "x.svg").read_bytes()


@pytest.mark.parametrize("name", ["x.xlsx", "x", ".csv", "x.gz"])
def test_a_name_that_says_no_kind_is_refused_with_those_known(tmp_path: Path, name: str) -> None:
    with pytest.raises(ExportError, match="says no kind of file") as caught:
        events().ks.save(tmp_path / name)
    assert ".trace.json.gz" in str(caught.value.hint)


@pytest.mark.parametrize("name", ["x.pb.gz", "x.folded", "x.html"])
def test_a_table_without_stacks_is_no_flame_graph(tmp_path: Path, name: str) -> None:
    with pytest.raises(AnalysisError, match="no stacks"):
        events().ks.save(tmp_path / name)
    assert not list(tmp_path.iterdir())


def test_a_table_without_times_is_no_trace(tmp_path: Path) -> None:
    with pytest.raises(AnalysisError, match="no events with a time"):
        stacks().ks.save(tmp_path / "x.trace.json")


@pytest.mark.parametrize("name", ["cpu.folded", "cpu.png", "cpu.pb.gz", "cpu.arrow"])
def test_a_place_that_is_not_there_is_said(tmp_path: Path, name: str) -> None:
    with pytest.raises(ExportError, match="no such directory"):
        stacks().ks.save(tmp_path / "none" / name)
