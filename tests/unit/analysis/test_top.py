"""The largest groups of a table add up, and the rest is one row."""

from __future__ import annotations

import pandas as pd
import pytest

from kernelscope.analysis import top


def test_adds_up_groups_and_sums_the_rest() -> None:
    frame = pd.DataFrame({"comm": list("aabbcd"), "count": [1, 2, 10, 10, 4, 3]})

    found = top.top(frame, 2)

    assert found["comm"].tolist() == ["b", "c", "other"]
    assert found["count"].tolist() == [20, 4, 6]
    assert found["share"].tolist() == pytest.approx([20 / 30, 4 / 30, 6 / 30])


def test_counts_rows_without_a_column_to_add_up() -> None:
    frame = pd.DataFrame({"pid": [4, 4, 9], "comm": ["x", "x", "y"]})

    found = top.top(frame, 5, by=["pid", "comm"])

    assert found.to_dict("list") == {
        "pid": [4, 9],
        "comm": ["x", "y"],
        "count": [2, 1],
        "share": [2 / 3, 1 / 3],
    }


def test_other_has_no_number_as_a_key() -> None:
    frame = pd.DataFrame({"pid": [4, 9, 11], "comm": ["x", "y", "z"]})

    found = top.top(frame, 1, by=["pid", "comm"])

    assert found["comm"].tolist() == ["x", "other"]
    assert pd.isna(found["pid"].iloc[1])
    assert top.top(frame, 1, by="pid")["pid"].tolist() == ["4", "other"]


def test_keeps_the_receipt() -> None:
    frame = pd.DataFrame({"pid": [4, 9], "comm": ["x", "y"]})
    frame.attrs["kernelscope"] = {"name": "x", "lost": {}}

    assert top.top(frame, by="pid").attrs == frame.attrs
