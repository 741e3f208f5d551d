"""`df.ks.save` and `kernelscope.save` write what a file's name asks for, or says why it cannot."""

from __future__ import annotations

import gzip
import json
import re
from pathlib import Path

import pandas as pd
import pytest

import kernelscope
from kernelscope import accessor
from kernelscope.errors import AnalysisError, ExportError
from kernelscope.io import formats
from kernelscope.io.formats import Format
from kernelscope.tables.results import Results, Tables
from kernelscope.tracing import options

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
def test_reads_back_types_and_receipt(tmp_path: Path, suffix: str) -> None:
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
def test_the_extension_picks_the_format_of_stacks(tmp_path: Path, name: str, begins: bytes) -> None:
    assert stacks().ks.save(tmp_path / name).read_bytes().startswith(begins)


def test_writes_the_receipt_where_the_format_has_room(tmp_path: Path) -> None:
    table = stacks()
    table.attrs["kernelscope"] = {"name": "profile", "host": "there </script>"}
    speedscope = json.loads(table.ks.save(tmp_path / "a.speedscope.json").read_text())
    page = table.ks.save(tmp_path / "a.html").read_text()
    kept = re.search(r'<script id="receipt" type="application/json">(.*?)</script>', page)

    assert speedscope["kernelscope"] == table.attrs["kernelscope"]
    assert kept is not None
    assert json.loads(kept[1]) == table.attrs["kernelscope"]


def test_stacks_use_the_value_of_their_probe(tmp_path: Path) -> None:
    table = stacks().assign(total_us=[2_000, 7_000])
    table.attrs["kernelscope"] = {"name": "offcputime", "probe": "offcputime", "table": "places"}

    assert table.ks.save(tmp_path / "a.folded").read_text() == "main;wait 7000\nmain;work 2000\n"
    found = json.loads(table.ks.save(tmp_path / "a.speedscope.json").read_text())["profiles"][0]
    assert (found["unit"], found["endValue"]) == ("microseconds", 9_000)
    assert table.ks.flamegraph("count").axes


def test_stacks_that_were_read_at_intervals_are_counted_once(tmp_path: Path) -> None:
    once, twice = stacks().iloc[:1], stacks()
    table = pd.concat([once, twice], ignore_index=True)
    table.insert(0, "time", pd.to_datetime([1, 2, 2], unit="s", utc=True))
    table.attrs["kernelscope"] = {"readings": {"count": "sum"}}

    assert table.ks.save(tmp_path / "a.folded").read_text() == "main;wait 5\nmain;work 3\n"


def test_a_picture_of_events_is_their_default_one(tmp_path: Path) -> None:
    assert b"latency" in events().ks.save(tmp_path / "x.svg").read_bytes()


@pytest.mark.parametrize("name", ["x.xlsx", "x", ".csv", "x.gz"])
def test_an_unknown_extension_is_an_error_with_the_known_ones(tmp_path: Path, name: str) -> None:
    with pytest.raises(ExportError, match="unrecognized file extension") as caught:
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
def test_reports_a_missing_directory(tmp_path: Path, name: str) -> None:
    with pytest.raises(ExportError, match="no such directory"):
        stacks().ks.save(tmp_path / "none" / name)


def test_tables_of_one_result_get_files_of_their_own(tmp_path: Path) -> None:
    result = Results({"opensnoop": events(), "two": Tables({"cpu": stacks()}, {})}, {})

    assert [path.name for path in kernelscope.save(result, tmp_path / "all.csv")] == [
        "all.opensnoop.csv",
        "all.two.cpu.csv",
    ]
    flames = kernelscope.save(result, tmp_path / "cpu.speedscope.json")
    assert [path.name for path in flames] == ["cpu.two.cpu.speedscope.json"]
    traced = kernelscope.save(result, tmp_path / "all.trace.json")
    assert [path.name for path in traced] == ["all.trace.json"]


def test_writes_nothing_without_stacks(tmp_path: Path) -> None:
    with pytest.raises(AnalysisError, match="no stacks"):
        kernelscope.save(Tables({"a": events(), "b": events()}, {}), tmp_path / "a.html")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("kind", formats.FORMATS.values(), ids=str)
def test_every_format_has_a_writer_and_tables_a_reader(kind: Format) -> None:
    assert callable(kind.writer())
    assert (kind.shows == "table") == bool(kind.read)
    assert not kind.read or callable(kind.reader())


def test_a_format_is_added_with_one_record(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "tab_separated.py").write_text(
        "from pathlib import Path\n"
        "def write(df, path):\n    df.to_csv(path, sep='\\t', index=False)\n    return Path(path)\n"
        "def read(path):\n    import pandas\n    return pandas.read_csv(path, sep='\\t')\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    added = Format(".tsv", "table", "tab_separated:write", "tab_separated:read")
    monkeypatch.setitem(formats.FORMATS, ".tsv", added)
    written = events().ks.save(tmp_path / "bio.tsv")

    assert written.read_text().startswith("time\tpid\tcomm\tlatency_us\n")
    assert kernelscope.read(written)["comm"].tolist() == ["web", "db"]
    assert options.split({"save": str(written)}).output == {"save": [written]}
