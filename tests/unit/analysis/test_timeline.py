"""Rates and percentiles in bins of time, of events and of maps read at intervals."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import kernelscope
from kernelscope import accessor, comparison
from kernelscope.analysis import percentiles, readings, timeline
from kernelscope.errors import AnalysisError

accessor.register()
BEGAN = pd.Timestamp("2026-11-22T08:00:00Z")


def events(seconds: list[float], **columns: Any) -> pd.DataFrame:
    times = BEGAN + pd.to_timedelta(seconds, unit="s")
    frame = pd.DataFrame({"time": times, **columns})
    frame.attrs["kernelscope"] = {"name": "x", "started": BEGAN.isoformat(), "duration_s": 3.5}
    return frame


def readings_of_a_map() -> pd.DataFrame:
    """A histogram by process that was read each second: 5, 7 and 7 events so far, then 11."""
    frame = events(
        [1, 2, 2, 3, 3, 3.5, 3.5],
        comm=["a", "a", "b", "a", "b", "a", "b"],
        latency_low_us=[8, 8, 64, 8, 64, 8, 64],
        latency_high_us=[9, 9, 72, 9, 72, 9, 72],
        count=np.array([5, 5, 2, 5, 2, 9, 2], np.uint64),
    )
    frame.attrs["kernelscope"]["readings"] = {"count": "sum"}
    return frame


def test_a_rate_has_every_bin_with_empty_ones_and_a_short_last_one() -> None:
    found = timeline.rate(events([0.1, 0.2, 2.5, 3.1, 3.4]), "1s")

    assert found["time"].tolist() == [BEGAN + pd.Timedelta(n, "s") for n in range(4)]
    assert found["count"].tolist() == [2, 0, 1, 2]
    assert found["per_s"].tolist() == pytest.approx([2, 0, 1, 4])  # the last covers half a second


def test_each_group_has_all_bins() -> None:
    found = timeline.rate(events([0.1, 2.5, 2.6], comm=["a", "b", "b"]), "2s", by="comm")

    assert found[["comm", "count"]].to_dict("list") == {
        "comm": ["a", "b", "a", "b"],
        "count": [1, 0, 0, 2],
    }


def test_every_event_is_counted_once() -> None:
    random = np.random.default_rng(7)
    frame = events(sorted(random.uniform(0, 3.5, 997)), pid=random.integers(0, 9, 997))

    for every in ("100ms", "333ms", 1, "7s"):
        assert timeline.rate(frame, every)["count"].sum() == 997
        assert timeline.rate(frame, every, by="pid")["count"].sum() == 997
        whole = timeline.over_time(frame.assign(latency_us=1.0), "latency_us", every, q=50)
        assert whole["count"].sum() == 997


def test_percentiles_over_time_are_those_of_each_bins_events() -> None:
    frame = events([0.1, 0.2, 0.3, 2.5], latency_us=[1.0, 2.0, 3.0, 40.0])
    found = timeline.over_time(frame, every="1s", q=[50, 100])

    assert found["time"].dt.second.tolist() == [0, 0, 2, 2]
    assert found["value_us"].tolist() == [2, 3, 40, 40]
    assert found["count"].tolist() == [3, 3, 1, 1]
    assert list(found.columns) == ["time", "count", "q", "value_us", "low_us", "high_us"]


def test_lost_events_may_have_been_in_any_bin() -> None:
    frame = events([0.1] * 50 + [2.5] * 50, latency_us=np.arange(100.0))
    frame.attrs["kernelscope"]["lost"] = {"ring_full": 1}
    found = timeline.over_time(frame, every="1s", q=50)

    assert found["low_us"].tolist() == [24, 74]
    assert found["high_us"].tolist() == [25, 75]


def test_increments_of_readings_are_counted_not_their_sums() -> None:
    frame = readings_of_a_map()

    assert readings.last(frame)["count"].tolist() == [9, 2]
    added = readings.increments(frame)
    assert added["count"].tolist() == [5, 2, 4]
    assert added["comm"].tolist() == ["a", "b", "a"]
    assert [t.total_seconds() for t in added["time"] - BEGAN] == [0, 1, 3]
    assert "readings" not in added.attrs["kernelscope"]
    assert added.ks.increments() is added
    assert added["count"].dtype == np.uint64


def test_a_deleted_entry_counts_from_zero_again() -> None:
    frame = events([1, 1, 2, 3, 3], comm=["a", "b", "b", "a", "b"], count=[10, 7, 3, 12, 5])
    frame.attrs["kernelscope"]["readings"] = {"count": "sum"}

    found = readings.increments(frame)

    # b fell from 7 to 3: it was deleted, and 3 are new; a was not there in the second reading.
    assert found.groupby("comm")["count"].sum().to_dict() == {"a": 22, "b": 12}


def test_percentiles_and_totals_of_readings_are_of_the_last_one() -> None:
    frame = readings_of_a_map()

    assert frame.ks.top(by="comm")["count"].tolist() == [9, 2]
    assert percentiles.percentiles(frame, q=82).loc[0, "low_us"] == 64  # rank 10 of 11
    assert timeline.rate(frame, "1s")["count"].tolist() == [5, 2, 0, 4]
    assert timeline.over_time(frame, q=100)["count"].tolist() == [5, 2, 4]


def test_a_comparison_of_readings_resamples_their_increments() -> None:
    random = np.random.default_rng(3)
    low = np.array([8, 16, 32])
    counts = random.poisson([50, 300, 20], (20, 3)).cumsum(axis=0)
    frame = events(
        list(np.repeat(np.arange(1, 21) * 0.175, 3)),
        latency_low_us=np.tile(low, 20),
        latency_high_us=np.tile(low * 2, 20),
        count=counts.ravel(),
    )
    frame.attrs["kernelscope"]["readings"] = {"count": "sum"}
    found = comparison.compare(frame, frame)

    rate = found.changes.set_index("what").loc["rate", "before"]
    assert rate == pytest.approx(counts[-1].sum() / 3.5)
    assert not found.independent


@pytest.mark.parametrize(
    ("frame", "every", "message"),
    [
        (pd.DataFrame({"pid": [1]}), "1s", "has no times"),
        (events([1]), "soon", "not a duration"),
        (events([1]), 0, "must be longer than 0"),
        (events([0, 1]), "1us", "too many"),
        (events([]), "1s", "has no rows"),
    ],
)
def test_tables_that_cannot_be_binned_are_an_error(
    frame: pd.DataFrame, every: Any, message: str
) -> None:
    with pytest.raises(AnalysisError, match=message):
        timeline.rate(frame, every)


def test_a_recordings_events_are_all_in_its_bins() -> None:
    path = Path(__file__).parents[3] / "notebooks/recordings/opensnoop.ksr"
    opens = kernelscope.open(path)
    assert isinstance(opens, pd.DataFrame)

    found = opens.ks.rate("100ms", by="comm")
    assert found["count"].sum() == len(opens)
    assert found.groupby("comm")["count"].sum().to_dict() == opens["comm"].value_counts().to_dict()


def test_a_small_remainder_belongs_to_the_last_bin() -> None:
    began = pd.Timestamp("2026-11-22T08:00:00Z")
    table = pd.DataFrame({"time": began + pd.to_timedelta([100, 1500, 2009], unit="ms")})
    table.attrs["kernelscope"] = {"started": began.isoformat(), "duration_s": 2.01}

    found = timeline.rate(table, "1s")
    assert found["count"].tolist() == [1, 2]
    assert found["per_s"].tolist() == pytest.approx([1, 2 / 1.01])
