"""A comparison calls a change what changed, nothing else, and says how surely."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pytest

from kernelscope.analysis.percentiles import percentiles
from kernelscope.comparison import Comparison, compare
from kernelscope.errors import AnalysisError
from kernelscope.tables.histogram import slot_bounds

LOWS = np.unique(slot_bounds(np.arange(496), "log_linear")[0])
Values = npt.NDArray[np.float64]


def values(seed: int, number: int = 20_011) -> Values:
    return np.random.default_rng(seed).lognormal(10, 0.5, number)


def histogram(what: Values, seed: int, **receipt: Any) -> pd.DataFrame:
    slots = pd.Series(np.searchsorted(LOWS, what, side="right") - 1).value_counts().sort_index()
    low, high = slot_bounds(slots.index.to_numpy(), "log_linear")
    frame = pd.DataFrame({"latency_low_ns": low, "latency_high_ns": high, "count": slots})
    frame.attrs["kernelscope"] = {"name": "one", "duration_s": 10.0, **receipt}
    return frame.reset_index(drop=True)


def events(what: Values, seed: int, **receipt: Any) -> pd.DataFrame:
    random = np.random.default_rng(seed)
    times = pd.to_timedelta(np.sort(random.uniform(0, 10, len(what))), unit="s")
    frame = pd.DataFrame(
        {
            "time": pd.Timestamp("2026-01-01", tz="UTC") + times,
            "comm": random.choice(["web", "database"], len(what)),
            "latency_ns": what,
        }
    )
    frame.attrs["kernelscope"] = {"name": "one", "duration_s": 10.0, **receipt}
    return frame


both = pytest.mark.parametrize("made", [histogram, events])


def changes(comparison: Comparison) -> dict[str, bool]:
    return dict(zip(comparison.changes["what"], comparison.changes["changed"], strict=True))


@both
def test_two_captures_of_the_same_load_are_unchanged(made: Any) -> None:
    called = [
        compare(
            made(values(seed), seed), made(values(seed + 100), seed + 100), seed=seed, resamples=400
        ).changed
        for seed in range(10)
    ]

    assert not any(called)


@both
def test_a_third_slower_is_called_slower(made: Any) -> None:
    found = compare(made(values(1), 1), made(values(2) * 1.33, 2))

    assert changes(found) == {"p50": True, "p90": True, "p99": True, "rate": False}
    assert found.verdict.startswith("p50 +")
    assert found.verdict.count("slower") == 3
    for row in found.changes.iloc[:3].itertuples():
        assert row.low <= 0.33 <= row.high  # type: ignore[operator]
    assert found.p_value < 0.01
    assert found.distance_octaves == pytest.approx(np.log2(1.33), abs=0.02)


@both
def test_a_slower_tail_is_separate_from_an_unchanged_median(made: Any) -> None:
    slow = values(2)
    slow[slow > np.quantile(slow, 0.97)] *= 1.5
    found = compare(made(values(1), 1), made(slow, 2))

    assert changes(found) == {"p50": False, "p90": False, "p99": True, "rate": False}
    assert "p50, p90 unchanged" in found.verdict


def test_shows_the_rate_and_what_moved_most() -> None:
    before, after = events(values(1), 1), events(values(2, 30_011), 2)
    after.loc[after.index[:9000], "comm"] = "backup"
    found = compare(before, after, by="comm")

    assert changes(found)["rate"]
    assert "more events per second" in found.verdict
    assert found.moved["comm"].iloc[0] == "backup"
    assert found.moved["difference"].iloc[0] == pytest.approx(900)


@both
def test_its_percentiles_are_those_of_the_tables(made: Any) -> None:
    before, after = made(values(1), 1), made(values(2), 2)

    found = compare(before, after, resamples=100).changes

    for side, table in (("before", before), ("after", after)):
        own = percentiles(table)["value_ns"].tolist()
        assert found[side].tolist()[:3] == own


def test_a_table_of_counts_is_compared_by_its_rate() -> None:
    def counts(number: int) -> pd.DataFrame:
        frame = pd.DataFrame({"comm": ["a", "b"], "count": [number, 5000]})
        frame.attrs["kernelscope"] = {"name": "one", "duration_s": 1.0}
        return frame

    assert not compare(counts(5000), counts(5001)).changed
    assert compare(counts(5000), counts(9000)).moved["comm"].iloc[0] == "a"


def test_a_burst_counts_as_the_blocks_it_fills() -> None:
    slow = values(2)
    slow[:600] *= 10  # all in one stretch of time
    in_blocks = compare(events(values(1), 1), events(slow, 2)).changes.set_index("what")
    independent = compare(histogram(values(1), 1), histogram(slow, 2)).changes.set_index("what")

    wide = in_blocks.loc["p99", "high"] - in_blocks.loc["p99", "low"]
    assert wide > 2 * (independent.loc["p99", "high"] - independent.loc["p99", "low"])


def test_a_move_within_one_bucket_is_no_change() -> None:
    def crowd(share: float) -> pd.DataFrame:
        low, high, counts = [8192, 9216], [9216, 10240], [int(20_000 * share), 20_000]
        frame = pd.DataFrame({"latency_low_ns": low, "latency_high_ns": high, "count": counts})
        frame.attrs["kernelscope"] = {"name": "one", "duration_s": 10.0}
        return frame

    found = compare(crowd(0.5), crowd(0.0), q=[50], tolerance=0).changes.iloc[0]
    assert found["low"] > 0
    assert not found["changed"]
    assert compare(crowd(2.0), crowd(0.1), q=[50], tolerance=0).changes["changed"].iloc[0]


def test_shows_large_numbers_in_full_and_far_changes_as_arrows() -> None:
    found = compare(histogram(values(1), 1), histogram(values(1) * 30, 2))
    assert "e+0" not in found._repr_html_()

    changes = found.plot().axes[1]
    arrows = [line for line in changes.lines if line.get_marker() == ">"]
    assert [line.get_ydata()[0] for line in arrows] == [0, 1, 2]  # the rate did not change


def test_captures_that_do_not_match_are_an_error() -> None:
    with pytest.raises(AnalysisError, match="different things"):
        compare(histogram(values(1), 1), histogram(values(2), 2, name="other"))
    with pytest.raises(AnalysisError, match="too few"):
        compare(events(values(1, 7), 1), events(values(2), 2))
    with pytest.raises(AnalysisError, match="were lost"):
        compare(histogram(values(1), 1, lost={"ring": 9000}), histogram(values(2), 2))
    with pytest.raises(AnalysisError, match="confidence"):
        compare(histogram(values(1), 1), histogram(values(2), 2), confidence=95)


def test_the_counts_of_a_custom_map_are_its_values():
    receipt = {"kernelscope": {"name": "reads", "duration_s": 1.0, "lost": {}}}
    before, after = (pd.DataFrame({"key": [7], "value": [n]}) for n in (199, 1867))
    before.attrs, after.attrs = receipt, receipt
    change = compare(before, after)
    assert change.changed
    assert change.changes.set_index("what").loc["rate", "change"] == pytest.approx(1867 / 199 - 1)
