"""Histograms on a terminal: bars by powers of two, and the percentiles of each group."""

from __future__ import annotations

import io
import sys

import pandas as pd
import pytest

from kernelscope.ui.cli.histogram_text import histograms


def buckets(rows: list[tuple[float, float, int]], **groups: list[str]) -> pd.DataFrame:
    low, high, count = zip(*rows, strict=True)
    return pd.DataFrame({**groups, "latency_low_us": low, "latency_high_us": high, "count": count})


def bars(text: str) -> list[tuple[str, int]]:
    found = []
    for line in text.splitlines()[2:]:
        label, _, rest = line.strip().partition("  ")
        found.append((label, int(rest.split()[0].replace(",", ""))))
    return found


def test_buckets_are_merged_by_powers_of_two():
    table = buckets([(0.256, 0.288, 3), (0.48, 0.512, 4), (0.512, 0.576, 5), (2.048, 2.304, 7)])
    assert bars(histograms(table, 80) or "") == [
        ("256\N{EN DASH}512 ns", 7),
        ("512 ns\N{EN DASH}1.02 µs", 5),
        ("1.02\N{EN DASH}2.05 µs", 0),
        ("2.05\N{EN DASH}4.1 µs", 7),
    ]


def test_buckets_of_whole_microseconds_are_merged_too():
    table = buckets([(1, 2, 3), (2, 3, 5), (3, 4, 7)])
    assert [count for _, count in bars(histograms(table, 80) or "")] == [3, 12]


def test_linear_buckets_keep_their_bounds():
    table = pd.DataFrame({"size_low": [0, 3, 6], "size_high": [3, 6, 9], "count": [2, 3, 5]})
    assert [count for _, count in bars(histograms(table, 80) or "")] == [2, 3, 5]


def test_no_events_are_lost_where_many_buckets_are_merged():
    rows = [(float(3 * i), float(3 * i + 3), 1) for i in range(211)]
    found = bars(histograms(buckets(rows), 80) or "")
    assert len(found) <= 40
    assert sum(count for _, count in found) == 211


def test_each_group_has_its_percentiles_the_largest_first():
    table = buckets([(1, 2, 3), (1, 2, 97)], disk=["vda", "vdb"])
    first, second = (histograms(table, 80) or "").split("\n\n")
    assert first.startswith("disk vdb: 97 events, p50 1.")
    assert second.startswith("disk vda: 3 events, p50 ")
    assert "p99" in first


def test_further_groups_are_counted():
    table = buckets([(1, 2, i + 1) for i in range(11)], disk=[f"d{i}" for i in range(11)])
    assert (histograms(table, 80) or "").endswith("… 5 more groups; --csv PATH keeps all")


def test_lines_fit_the_terminal():
    table = buckets([(1, 2, 3), (1024, 1088, 1_000_003)])
    assert all(len(line) <= 60 for line in (histograms(table, 60) or "").splitlines())


def test_a_terminal_without_unicode_gets_ascii_bars(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(io.BytesIO(), encoding="ascii"))
    assert "#####" in (histograms(buckets([(1, 2, 3)]), 60) or "")


def test_other_tables_are_none():
    assert histograms(pd.DataFrame({"comm": ["a"], "count": [3]}), 80) is None
