"""Percentiles are within their stated bounds, whatever was measured and whatever was lost."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from kernelscope.analysis import bootstrap, measure, percentiles
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


def test_too_much_loss_is_an_error() -> None:
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
    assert percentiles.measured(bucketed([5]), column).low == "latency_low_ns"  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("column", "q", "message"),
    [
        ("latency_sn", 50, "Did you mean latency_ns"),
        ("comm", 50, "holds no numbers"),
        (None, 50, "which column is meant"),
        ("latency_ns", 101, "from 0 to 100"),
    ],
)
def test_wrong_columns_and_percents_are_errors(column: str | None, q: float, message: str) -> None:
    frame = pd.DataFrame({"comm": ["a"], "latency_ns": [1], "wait_ns": [2]})

    with pytest.raises(AnalysisError, match=message):
        percentiles.percentiles(frame, column, q)


def test_percentiles_keep_the_receipt() -> None:
    frame = events([1, 2, 3], lost=0)

    assert percentiles.percentiles(frame).attrs == frame.attrs


def test_a_guess_has_no_more_digits_than_it_deserves() -> None:
    frame = pd.DataFrame(
        {"latency_low_us": [49.152], "latency_high_us": [53.248], "count": [2_003]}
    )

    assert percentiles.percentiles(frame, q=75)["value_us"].tolist() == [52.22]


def test_tables_live_views_and_comparisons_have_the_same_percentiles() -> None:
    frame = pd.DataFrame(
        {
            "latency_low_us": [8, 9, 10, 64],
            "latency_high_us": [9, 10, 11, 72],
            "count": [1, 2, 1, 1],
        }
    )
    low, high = (frame[f"latency_{end}_us"].to_numpy(float) for end in ("low", "high"))
    counts = frame["count"].to_numpy(float)
    sample, _ = bootstrap.samples(frame, frame, measure.measured(frame))

    table = percentiles.percentiles(frame, q=[50, 90, 99])
    live = [percentiles.in_buckets(low, high, counts[None, :], q) for q in (50, 90, 99)]
    compared = sample.quantiles(counts, np.array([50.0, 90.0, 99.0]))

    assert table["value_us"].tolist() == [9.75, 68.0, 68.0]
    assert [float(value[0]) for value, _, _ in live] == [9.75, 68.0, 68.0]
    assert compared.tolist() == [[9.75, 68.0, 68.0]]
    assert [(float(low[0]), float(high[0])) for _, low, high in live] == [
        (9.0, 10.0),
        (64.0, 72.0),
        (64.0, 72.0),
    ]


@untimed
@given(st.lists(st.integers(0, 40), min_size=1, max_size=60), PERCENTS)
def test_rows_of_counts_have_the_percentiles_of_tables(values: list[int], percent: float) -> None:
    edges = np.unique(slot_bounds(np.arange(64), "log_linear")[0]).astype(float)
    counts = np.histogram(values, edges)[0].astype(float)
    row = percentiles.percentiles(bucketed(values), q=[percent]).iloc[0]

    found = percentiles.in_buckets(edges[:-1], edges[1:], np.stack([counts, counts * 0]), percent)

    width = row["high_ns"] - row["low_ns"]
    assert [each[0] for each in found] == pytest.approx(row.tolist()[1:], abs=width / 100)
    assert all(np.isnan(each[1]) for each in found)


def test_a_row_of_fractions_of_events_has_percentiles() -> None:
    edges = np.array([0.0, 10.0, 20.0])

    value, low, high = percentiles.in_buckets(edges[:-1], edges[1:], np.array([[0.2, 0.2]]), 99)

    assert 10 < value[0] < 20
    assert (low[0], high[0]) == (10, 20)
