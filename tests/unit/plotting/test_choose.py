"""Which plot a table gets."""

from __future__ import annotations

import pandas as pd
import pytest
from unit.plotting.conftest import receipt_with

from kernelscope.errors import AnalysisError
from kernelscope.plotting import choose


def kind_of(table: pd.DataFrame, monkeypatch: pytest.MonkeyPatch) -> str:
    chosen: list[str] = []
    monkeypatch.setattr(choose, "draw", lambda _df, plot: chosen.append(plot.kind))
    choose.default(table)
    return chosen[0]


def test_chooses_by_columns_without_a_description(
    monkeypatch: pytest.MonkeyPatch,
    buckets: pd.DataFrame,
    events: pd.DataFrame,
    stacks: pd.DataFrame,
) -> None:
    assert kind_of(buckets, monkeypatch) == "histogram"
    assert kind_of(events[["time", "duration_us"]], monkeypatch) == "heatmap"
    assert kind_of(events[["time", "comm"]], monkeypatch) == "timeseries"
    assert kind_of(stacks, monkeypatch) == "flamegraph"
    assert kind_of(events[["comm"]], monkeypatch) == "bars"


def test_chooses_what_the_probes_description_proposes(
    monkeypatch: pytest.MonkeyPatch, events: pd.DataFrame
) -> None:
    events.attrs = receipt_with(probe="opensnoop", table="opens")
    assert kind_of(events.assign(path="x"), monkeypatch) == "bars"

    events.attrs = receipt_with(plots=[{"kind": "percentiles", "x": "duration_us"}])
    assert kind_of(events, monkeypatch) == "percentiles"


def test_draws_without_a_group_that_a_parameter_left_out(buckets: pd.DataFrame) -> None:
    buckets.attrs = receipt_with(probe="runqlat", table="latency")

    assert choose.default(buckets).get_suptitle() == "Run queue latency"


def test_takes_a_title(buckets: pd.DataFrame) -> None:
    buckets.attrs = receipt_with(probe="runqlat", table="latency")

    assert choose.named(buckets, None, {"title": "Mine"}).get_suptitle() == "Mine"
    buckets.attrs = {}
    assert choose.named(buckets, None, {"title": "Mine"}).get_suptitle() == "Mine"
    with pytest.raises(AnalysisError, match="options need a kind of plot"):
        choose.named(buckets, None, {"title": "Mine", "top": 3})
