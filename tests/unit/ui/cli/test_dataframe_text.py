"""Tables on a terminal: readable at any width, and nothing is left out silently."""

from __future__ import annotations

import pandas as pd
import pytest

from kernelscope.ui.cli import dataframe_text
from kernelscope.ui.cli.columns import fit, text_columns, without_rows

PATH = "/usr/share/python/site-packages/module.py"


def opened(rows: int = 2) -> pd.DataFrame:
    times = pd.date_range("2026-01-01 12:00", periods=rows, freq="s", tz="UTC")
    return pd.DataFrame(
        {
            "time": times,
            "comm": pd.Series(["python"] * rows, dtype="str"),
            "path": pd.Series([PATH] * rows, dtype="str"),
            "duration_us": [1.5] * rows,
        }
    )


def wide(rows: int = 3) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "time": pd.date_range("2026-01-01 12:00", periods=rows, freq="s", tz="UTC"),
            "pid": range(1000, 1000 + rows),
            "tid": range(1000, 1000 + rows),
            "uid": [0] * rows,
            "comm": ["nginx"] * (rows - 1) + ["sshd"],
            "path": [f"{PATH}{i}" for i in range(rows)],
            "device_us": [100.25 * i for i in range(rows)],
        }
    )


def test_a_table_that_fits_is_whole():
    assert dataframe_text.table(opened(1), 80).splitlines() == [
        "time              comm    path                                       duration_us",
        f"12:00:00.000000Z  python  {PATH}          1.5",
    ]


def test_times_of_several_days_keep_their_dates():
    times = pd.to_datetime(["2026-01-01", "2026-01-02"]).tz_localize("UTC")
    assert "2026-01-02 00:00:00.000000Z" in dataframe_text.table(pd.DataFrame({"time": times}), 80)


@pytest.mark.parametrize("width", [65, 75])
def test_a_path_that_does_not_fit_loses_its_start(width: int):
    *lines, note = dataframe_text.table(opened(), width).splitlines()

    assert max(map(len, lines)) <= width
    assert "site-packages/module.py" in lines[1]
    assert note == f"… texts are cut to fit {width} columns; --csv PATH keeps all"


@pytest.mark.parametrize("width", [70, 80, 100])
def test_each_row_of_a_wide_table_is_one_line(width: int):
    shown = dataframe_text.table(wide(), width).splitlines()

    assert max(map(len, shown[:4])) <= width
    assert all(f"{100.25 * i:.2f}" in shown[1 + i] for i in range(3))


def test_hidden_columns_are_named():
    shown = dataframe_text.table(wide(), 70)

    assert "… the same in every row: uid 0" in shown
    assert "… hidden to fit: tid" in shown
    assert " tid " not in shown.splitlines()[0]


def test_columns_that_never_fit_are_hidden_and_named():
    table = pd.DataFrame({f"column_{i}": [i, i + 1] for i in range(20)})

    shown = dataframe_text.table(table, 60)

    assert all(f"column_{i}" in shown for i in range(20))


def test_counts_are_sorted_and_events_are_not():
    counts = pd.DataFrame({"key": [1, 2, 3], "value": [5, 70, 6]})
    assert [line.split()[0] for line in dataframe_text.table(counts, 80).splitlines()[1:]] == [
        "2",
        "3",
        "1",
    ]
    events = opened(3).assign(count=[1, 3, 2])
    assert dataframe_text.largest_first(events) is events


def test_rows_that_are_not_shown_are_counted():
    shown = dataframe_text.table(opened(1000), 200).splitlines()

    assert len(shown) == 1 + dataframe_text.MOST_ROWS + 1
    assert shown[-1] == "… 940 more rows; --csv PATH keeps all"


def test_an_empty_table_names_its_columns():
    assert dataframe_text.table(opened(0), 80) == (
        "no rows (columns: time, comm, path, duration_us)"
    )


def test_missing_values_are_blank():
    table = pd.DataFrame({"a": [1.5, None], "b": pd.Series(["x", None], dtype="str")})
    assert dataframe_text.table(table, 80).split("\n") == ["  a  b", "1.5  x", ""]


def test_rows_that_follow_are_as_wide_as_the_first(capsys):
    first = fit(without_rows(text_columns(wide(1), streaming=True)), 100)
    columns = text_columns(wide(3), streaming=True)
    shown = {column.name for column in first.columns}
    rows = zip(*(column.texts for column in columns if column.name in shown), strict=True)
    lines = [first.line(row) for row in rows]
    assert {len(line) for line in [first.heading(), *lines]} == {100}
