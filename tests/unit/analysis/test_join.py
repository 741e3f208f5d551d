"""Joins of two captures: the nearest in time, of the same process, under clear names."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest

from kernelscope.analysis import join
from kernelscope.errors import AnalysisError

BEGAN = pd.Timestamp("2026-11-22T08:00:00Z")


def table(name: str, ms: list[float], **columns: Any) -> pd.DataFrame:
    frame = pd.DataFrame({"time": BEGAN + pd.to_timedelta(ms, unit="ms"), **columns})
    frame.attrs["kernelscope"] = {"name": name}
    return frame


def test_a_row_gets_the_nearest_row_of_its_process() -> None:
    syncs = table(
        "fsyncsnoop", [10, 0, 50], pid=np.array([7, 8, 7], np.uint32), duration_ms=[5.0, 2, 3]
    )
    disk = table(
        "biosnoop", [1, 9, 11.5, 14], pid=np.array([8, 8, 7, 7]), latency_ms=[0.1, 0.2, 0.3, 0.4]
    )
    found = join.join(syncs, disk, on="pid", within="10ms")

    assert found["duration_ms"].tolist() == [5, 2, 3]  # in the order of the left table
    assert found["latency_biosnoop_ms"].fillna(-1).tolist() == [0.3, 0.1, -1]
    assert found["apart_ms"].fillna(-1).tolist() == pytest.approx([1.5, 1, -1])
    assert list(found.columns) == [
        "time", "pid", "duration_ms", "time_biosnoop", "latency_biosnoop_ms", "apart_ms",
    ]  # fmt: skip
    assert found.attrs == syncs.attrs


@pytest.mark.parametrize(
    ("direction", "expected"), [("nearest", 2), ("backward", 1), ("forward", 2)]
)
def test_direction_decides_which_row_comes_first(direction: str, expected: int) -> None:
    left, right = table("a", [10]), table("b", [7, 11], n=[1, 2])

    found = join.join(left, right, on=None, within=0.005, direction=direction)

    assert found["n_b"].tolist() == [expected]


def test_each_row_is_the_nearest() -> None:
    random = np.random.default_rng(5)
    left = table("a", list(random.uniform(0, 1000, 499)), tid=random.integers(1, 9, 499))
    right = table("b", list(random.uniform(0, 1000, 499)), tid=random.integers(1, 9, 499))
    found = join.join(left, right, on="tid", within="5ms")

    theirs = (right["time"] - BEGAN).dt.total_seconds().to_numpy() * 1000
    apart = (left["time"] - BEGAN).dt.total_seconds().to_numpy()[:, None] * 1000 - theirs
    apart = np.abs(np.where(left["tid"].to_numpy()[:, None] == right["tid"].to_numpy(), apart, 1e9))
    nearest = apart.min(axis=1)
    np.testing.assert_allclose(
        found["apart_ms"].abs().fillna(-1), np.where(nearest <= 5, nearest, -1), atol=1e-5
    )


def test_counts_are_joined_by_their_keys_alone() -> None:
    opens = table("opensnoop", [1, 2], pid=[7, 8])
    calls = pd.DataFrame({"pid": [7, 9], "count": [3, 4], "total_us": [1.5, 2.5]})
    calls.attrs["kernelscope"] = {"name": "syscount"}
    found = join.join(opens, calls)

    assert found["count_syscount"].fillna(-1).tolist() == [3, -1]
    assert found["total_syscount_us"].fillna(-1).tolist() == [1.5, -1]


def test_two_captures_of_one_probe_have_different_names() -> None:
    found = join.join(table("a", [1], pid=[7]), table("a", [2], pid=[7]))

    assert list(found.columns) == ["time", "pid", "time_other", "apart_ms"]


@pytest.mark.parametrize(
    ("how", "message"),
    [
        ({"on": "pdi"}, "Did you mean pid"),
        ({"within": "near"}, "not a duration"),
        ({"within": "inf"}, "not a length"),
        ({"direction": "up"}, "direction is 'up'"),
    ],
)
def test_tables_that_cannot_be_joined_are_an_error(how: dict[str, Any], message: str) -> None:
    with pytest.raises(AnalysisError, match=message):
        join.join(table("a", [1], pid=[7]), table("b", [1], pid=[7]), **how)


def test_a_duplicate_key_without_times_is_an_error() -> None:
    twice = pd.DataFrame({"pid": [7, 7]})
    with pytest.raises(AnalysisError, match="several rows for one pid"):
        join.join(table("a", [1], pid=[7]), twice)
    with pytest.raises(AnalysisError, match="no times to join by"):
        join.join(twice, twice, on=None)
