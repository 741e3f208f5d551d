"""Percentiles are within their stated bounds, whatever was measured and whatever was lost."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from kernelscope.analysis import percentiles, top
from kernelscope.errors import AnalysisError
from kernelscope.tables.histogram import slot_bounds

untimed = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])

VALUES = st.lists(st.integers(0, 1 << 40), min_size=1, max_size=200)
LOWS = np.unique(slot_bounds(np.arange(496), "log_linear")[0])
PERCENTS = st.one_of(st.integers(0, 100), st.floats(0, 100, allow_nan=False))


def nearest_rank(values: list[int], percent: float) -> int:
    from fractions import Fraction

    rank = max(1, math.ceil(Fraction(str(float(percent))) * len(values) / 100))
    return sorted(values)[rank - 1]


def bucketed(values: list[int], lost: int = 0) -> pd.DataFrame:
    slots = pd.Series(np.searchsorted(LOWS, values, side="right") - 1).value_counts().sort_index()
    low, high = slot_bounds(slots.index.to_numpy(), "log_linear")
    frame = pd.DataFrame(
        {"latency_low_ns": low, "latency_high_ns": high, "count": slots.to_numpy(np.uint64)}
    )
    frame.attrs["kernelscope"] = {"lost": {"map_full": lost}}
    return frame


@untimed
@given(VALUES, PERCENTS)
def test_a_histograms_percentile_is_within_its_bounds(values: list[int], percent: float) -> None:
    row = percentiles.percentiles(bucketed(values), q=[percent]).iloc[0]

    assert row["low_ns"] <= nearest_rank(values, percent) < row["high_ns"]
    assert row["low_ns"] <= row["value_ns"] <= row["high_ns"]


@untimed
@given(VALUES)
def test_bounds_are_at_most_an_eighth_apart(values: list[int]) -> None:
    row = percentiles.percentiles(bucketed(values), q=[50]).iloc[0]

    assert row["high_ns"] - row["low_ns"] <= max(1, row["low_ns"] / 8)


@untimed
@given(VALUES, VALUES, PERCENTS)
def test_lost_events_widen_the_bounds_so_that_they_still_hold(
    kept: list[int], lost: list[int], percent: float
) -> None:
    everything = kept + lost
    for frame in (bucketed(kept, len(lost)), events(kept, len(lost))):
        row = percentiles.percentiles(frame, q=[percent], max_lost=1).iloc[0]

        assert row["low_ns"] <= nearest_rank(everything, percent) <= row["high_ns"]


def events(values: list[int], lost: int = 0) -> pd.DataFrame:
    frame = pd.DataFrame({"pid": np.arange(len(values)), "latency_ns": values})
    frame.attrs["kernelscope"] = {"lost": {"ring_full": lost}}
    return frame


@untimed
@given(VALUES, PERCENTS)
def test_a_percentile_of_single_events_is_exact(values: list[int], percent: float) -> None:
    row = percentiles.percentiles(events(values), q=[percent]).iloc[0]

    assert row["value_ns"] == row["low_ns"] == row["high_ns"] == nearest_rank(values, percent)


def test_percentiles_are_refused_beyond_the_share_of_loss() -> None:
    nine_of_ten = events([1] * 90, lost=10)
    fewer = events([1] * 89, lost=11)

    assert len(percentiles.percentiles(nine_of_ten)) == 3
    with pytest.raises(AnalysisError, match="11 of 100 events were lost") as caught:
        percentiles.percentiles(fewer)
    assert caught.value.details["lost_share"] == 0.11


def test_groups_have_their_own_percentiles() -> None:
    frame = pd.DataFrame({"disk": ["b", "a", "a"], "latency_us": [7.0, 1.0, 3.0]})

    found = percentiles.percentiles(frame, q=100, by="disk")

    assert found.to_dict("list") == {
        "disk": ["a", "b"],
        "q": [100.0, 100.0],
        "value_us": [3.0, 7.0],
        "low_us": [3.0, 7.0],
        "high_us": [3.0, 7.0],
    }


def test_a_missing_value_is_left_out() -> None:
    frame = pd.DataFrame({"latency_us": [5.0, np.nan]})

    assert percentiles.percentiles(frame, q=[100])["value_us"].tolist() == [5.0]


def test_a_table_without_rows_has_no_percentiles() -> None:
    assert percentiles.percentiles(events([])).empty


@pytest.mark.parametrize("column", ["latency_ns", "latency_low_ns", "latency"])
def test_a_histogram_is_found_by_any_of_its_names(column: str) -> None:
    assert percentiles.measured(bucketed([5]), column).low == "latency_low_ns"


@pytest.mark.parametrize(
    ("column", "q", "message"),
    [
        ("latency_sn", 50, "Did you mean latency_ns"),
        ("comm", 50, "holds no numbers"),
        (None, 50, "which column is meant"),
        ("latency_ns", 101, "from 0 to 100"),
    ],
)
def test_what_cannot_be_answered_is_refused(column: str | None, q: float, message: str) -> None:
    frame = pd.DataFrame({"comm": ["a"], "latency_ns": [1], "wait_ns": [2]})

    with pytest.raises(AnalysisError, match=message):
        percentiles.percentiles(frame, column, q)


def test_top_adds_up_and_puts_the_rest_together() -> None:
    frame = pd.DataFrame({"comm": list("aabbcd"), "count": [1, 2, 10, 10, 4, 3]})

    found = top.top(frame, 2)

    assert found["comm"].tolist() == ["b", "c", "other"]
    assert found["count"].tolist() == [20, 4, 6]
    assert found["share"].tolist() == pytest.approx([20 / 30, 4 / 30, 6 / 30])


def test_top_counts_rows_where_nothing_is_to_be_added() -> None:
    frame = pd.DataFrame({"pid": [4, 4, 9], "comm": ["x", "x", "y"]})

    found = top.top(frame, 5, by=["pid", "comm"])

    assert found.to_dict("list") == {
        "pid": [4, 9],
        "comm": ["x", "y"],
        "count": [2, 1],
        "share": [2 / 3, 1 / 3],
    }


def test_the_other_row_has_no_number_for_a_key_of_numbers() -> None:
    frame = pd.DataFrame({"pid": [4, 9, 11], "comm": ["x", "y", "z"]})

    found = top.top(frame, 1, by=["pid", "comm"])

    assert found["comm"].tolist() == ["x", "other"]
    assert pd.isna(found["pid"].iloc[1])
    assert top.top(frame, 1, by="pid")["pid"].tolist() == ["4", "other"]


def test_results_carry_the_receipt_on() -> None:
    frame = events([1, 2, 3], lost=0)

    assert percentiles.percentiles(frame).attrs == frame.attrs
    assert top.top(frame, by="pid").attrs == frame.attrs
