"""What happened when: rates and percentiles in bins of time. DataFrame in, DataFrame out.

For events with a "time", and for maps that were read at intervals (what a reading added counts from
the reading before it, so bins should not be shorter than the interval). Bins start with the run
where the table's receipt has its start, else with the first event; the last bin may be shorter, or
a twentieth longer.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from pandas.api import types

from kernelscope import converters
from kernelscope.analysis import percentiles, readings
from kernelscope.analysis.measure import column_names, measured
from kernelscope.errors import AnalysisError
from kernelscope.tables.attrs import receipt_of

_SLIVER = 0.05  # of a bin: a remainder up to this is added to the last one
_MOST_BINS = 1_000_000


def rate(
    df: pd.DataFrame, every: Any = "1s", by: str | Sequence[str] | None = None
) -> pd.DataFrame:
    """Return how many events each bin of time has, and how many per second.

    every: a bin's length: "100ms", 1 (a second). by: columns to group by; each group has a row for
    every bin, with 0 where nothing happened.

    Columns: time (the bin's start), those of `by`, count, per_s (events per second of the time that
    the bin covers). Raises AnalysisError for a table without times, or an unknown column.
    """
    df, bins = _binned(df, every)
    groups = column_names(df, by)
    weight = df["count"] if "count" in df.columns else pd.Series(1, index=df.index)
    keys = [bins.place.rename("_bin"), *(df[name] for name in groups)]
    counted = weight.groupby(keys, dropna=False, observed=True).sum().rename("count")
    if groups:
        wide = counted.unstack("_bin", fill_value=0)
        wide = wide.reindex(columns=range(len(bins.begins)), fill_value=0)
        long = wide.melt(value_name="count", var_name="_bin", ignore_index=False).reset_index()
        found = long.sort_values(["_bin", *groups], kind="stable", ignore_index=True)
    else:
        found = counted.reindex(range(len(bins.begins)), fill_value=0).reset_index()
    place = found["_bin"].to_numpy(np.int64)
    result = pd.DataFrame({"time": bins.begins[place], **{name: found[name] for name in groups}})
    result["count"] = found["count"].astype(np.int64).to_numpy()
    result["per_s"] = result["count"] / bins.seconds[place]
    result.attrs.update(df.attrs)
    return result


def over_time(
    df: pd.DataFrame,
    column: str | None = None,
    every: Any = "1s",
    q: float | Sequence[float] = (50, 90, 99),
    by: str | Sequence[str] | None = None,
    *,
    max_lost: float = percentiles.MAX_LOST,
) -> pd.DataFrame:
    """Return percentiles, with their bounds, in each bin of time.

    column, q, by, max_lost: as of `analysis.percentiles`. every: a bin's length, as of `rate`.

    Columns: time (the bin's start), those of `by`, count (events in the bin), q, and value, low
    and high with the column's unit in their names ("value_us"). Bins without events have no rows.
    Lost events widen every bin's bounds by all of them: they may all have been in that bin.

    Raises AnalysisError for a table without times, an unknown column, or where too much was lost.
    """
    binned, bins = _binned(df, every)
    measure = measured(binned, column)
    groups = ["time", *column_names(binned, by)]
    binned = binned[binned[measure.low].notna()]
    binned = binned.assign(time=bins.begins[bins.place[binned.index].to_numpy()])
    binned.attrs.update(df.attrs if not readings.growing(df) else {})
    found = percentiles.percentiles(binned, measure.name, q, groups, max_lost=max_lost)
    weight = binned["count"] if measure.is_histogram else pd.Series(1, index=binned.index)
    keys = [binned[name] for name in groups]
    counts = weight.groupby(keys, dropna=False, observed=True).sum().rename("count").reset_index()
    counts["count"] = counts["count"].astype(np.int64)
    result = found.merge(counts, on=groups, how="left")
    numbers = [name for name in found.columns if name not in groups]
    result = result[[*groups, "count", *numbers]]
    result.attrs.update(found.attrs)
    return result


class _Bins:
    """begins: each bin's start. seconds: its length. place: the bin of each row."""

    def __init__(self, times: pd.Series[Any], every: float, receipt: Mapping[str, Any]) -> None:
        first, last = times.min(), times.max()
        started = receipt.get("started")
        if started and pd.Timestamp(str(started)) <= first:
            first = pd.Timestamp(str(started))
            ended = first + pd.Timedelta(seconds=float(receipt.get("duration_s") or 0))
            last = max(last, ended)
        whole = (last - first).total_seconds()
        number = max(1, math.ceil(whole / every - _SLIVER))
        if number > _MOST_BINS:
            raise AnalysisError(
                f"{number:,} bins of {every:g} s are too many",
                hint=f"the table covers {whole:.3g} s: give a longer `every`",
            )
        since = (times - first).dt.total_seconds().to_numpy(np.float64)
        place = np.clip(np.floor(since / every).astype(np.int64), 0, number - 1)
        self.place = pd.Series(place, index=times.index)
        steps = pd.to_timedelta(np.arange(number) * every, unit="s")
        self.begins = pd.DatetimeIndex(pd.Timestamp(first) + steps).as_unit("ns")
        self.seconds = np.full(number, every)
        if whole:
            self.seconds[-1] = whole - every * (number - 1)


def _binned(df: pd.DataFrame, every: Any) -> tuple[pd.DataFrame, _Bins]:
    if "time" not in df.columns or not types.is_datetime64_any_dtype(df["time"]):
        raise AnalysisError(
            "the table has no times",
            hint="events have times; maps have them when read at intervals: --interval 1s",
            column="time",
        )
    try:
        length = converters.duration(every)
    except ValueError as error:
        raise AnalysisError(f"every {every!r}: {error}", hint="give a length such as 1s") from None
    if not 0 < length < math.inf:
        raise AnalysisError(
            f"every {every!r}: must be longer than 0", hint="give a length such as 1s"
        )
    df = readings.increments(df).reset_index(drop=True)
    if not len(df):
        raise AnalysisError("the table has no rows", hint="trace for longer, or something busier")
    return df, _Bins(df["time"], length, receipt_of(df))
