"""Tables on a terminal: nothing is left out without a word."""

from __future__ import annotations

import pandas as pd
import pytest

from kernelscope.ui.cli import dataframe_text

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


def test_a_table_that_fits_is_whole():
    assert dataframe_text.table(opened(1), 80).splitlines() == [
        "            time   comm                                      path  duration_us",
        f"12:00:00.000000Z python {PATH}          1.5",
    ]


def test_times_of_several_days_keep_their_dates():
    times = pd.to_datetime(["2026-01-01", "2026-01-02"]).tz_localize("UTC")
    assert "2026-01-02 00:00:00.000000Z" in dataframe_text.table(pd.DataFrame({"time": times}), 80)


@pytest.mark.parametrize("width", [60, 70])
def test_texts_are_cut_where_it_does_not_fit_and_that_is_said(width: int):
    *lines, said = dataframe_text.table(opened(), width).splitlines()

    assert max(map(len, lines)) <= width
    assert "/usr/share/p" in lines[1]
    assert said == f"… texts are cut to fit {width} columns; --csv PATH keeps all"


def test_columns_that_no_cut_makes_fit_are_folded_not_dropped():
    table = pd.DataFrame({f"column_{i}": [i] for i in range(20)})

    shown = dataframe_text.table(table, 60)

    assert all(f"column_{i}" in shown for i in range(20))
    assert max(map(len, shown.splitlines())) <= 60


def test_rows_that_are_not_shown_are_counted():
    shown = dataframe_text.table(opened(1000), 200).splitlines()

    assert len(shown) == 1 + dataframe_text.MOST_ROWS + 1
    assert shown[-1] == "… 940 more rows; --csv PATH keeps all"


def test_nothing_seen_names_the_columns():
    assert dataframe_text.table(opened(0), 80) == (
        "no rows (columns: time, comm, path, duration_us)"
    )
