"""Rates and medians over time; for tables read at intervals, the increase between readings.

Maps count from the start of the run, so that each reading is a running total: the differences
between readings are the events.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from pandas.api import types

from kernelscope import units
from kernelscope.analysis import readings
from kernelscope.analysis import top as groups
from kernelscope.analysis.measure import Measure, measured, unknown_column
from kernelscope.errors import AnalysisError
from kernelscope.plotting import artists, bins, figure
from kernelscope.plotting.bins import TIME_BINS, Numbers
from kernelscope.plotting.figure import Figure

_SHORT = 0.2  # of an interval: the reading at the end of the run may follow another at once


def timeseries(
    df: pd.DataFrame,
    x: str = "time",
    y: str | None = None,
    by: str = "",
    *,
    value: str | None = None,
    top: int = 6,
    title: str = "",
) -> Figure:
    """Return events per second over time or, with `y`, the median of a column at each time.

    value: a column that is added up at each time instead. Times without measurements are bridged by
    a straight line. For a table read at intervals: the increase per second between readings, of
    "count" or of another column that only grows.
    """
    times = times_of(df, x)
    y = y or value
    amount = _growing(df, y)
    if amount is not None and len(df):
        result = _increase(df, amount, by, top, title)
        label_time(result.axes[0], readings.begins(times, df))
        return result
    measure = measured(df, y) if y else Measure("events per second", "", "", "")
    label = units.label_of(measure.name, measure.unit)
    result, axes = figure.new(df, title or f"{figure.capitalized(label)} over time")
    last = float(bins.seconds(times, times).max()) if len(df) else 0.0
    edges = np.linspace(0, max(last, 1e-6), TIME_BINS + 1)
    lines: list[tuple[str, Line2D]] = []
    for index, (name, group) in enumerate(bins.series(df, by, top)):
        if value:
            group = group.groupby(x, as_index=False)[[value]].sum()
        values = bins.over_time(group, bins.seconds(group[x], times), y, edges)
        known = ~np.isnan(values)
        middle = (edges[:-1] + edges[1:]) / 2
        point = "o" if known.sum() < TIME_BINS / 2 else ""
        lines.append((name, artists.line(axes, middle[known], values[known], index, marker=point)))
    label_time(axes, times)
    axes.set_ylim(bottom=0)
    figure.label_axis(axes.yaxis, label)
    figure.readable(axes.yaxis, measure.unit)
    if by:
        _legend(result, lines)
    return result


def times_of(df: pd.DataFrame, x: str) -> pd.Series[Any]:
    """Return the column of times. Raises AnalysisError where it is missing or holds none."""
    if x not in df.columns:
        raise unknown_column(df, x)
    if not types.is_datetime64_any_dtype(df[x]):
        raise AnalysisError(
            f"{x} holds no times", hint="name a column of times, such as time", column=x
        )
    return df[x]


def label_time(axes: Axes, times: pd.Series[Any]) -> None:
    """Label the horizontal axis with the time since the first of `times`."""
    since = f" since {times.min():%Y-%m-%d %H:%M:%S} UTC" if len(times) else ""
    axes.set_xlabel(f"time{since}")
    figure.readable(axes.xaxis, "s")


def _legend(result: Figure, lines: list[tuple[str, Line2D]]) -> None:
    names, handles = zip(*lines, strict=True) if lines else ((), ())
    figure.legend(result, handles=list(handles), labels=list(names))


# --- tables read at intervals --------------------------------------------------------------------


def _growing(df: pd.DataFrame, y: str | None) -> str | None:
    """Return `y`, or "count", where it grows from reading to reading; None for other tables."""
    name = y or "count"
    return name if readings.growing(df).get(name) == "sum" and name in df.columns else None


def _increase(df: pd.DataFrame, amount: str, by: str, top: int, title: str) -> Figure:
    """Return the increase per second of the largest groups, and of all others together."""
    unit = units.unit_of(amount)
    label = "events" if amount == "count" else units.label_of(amount, unit)
    label = f"{label} per second"
    result, axes = figure.new(df, title or f"{figure.capitalized(label)} over time")
    steps = readings.increments(df)
    edges = _edges(df)
    lines: list[tuple[str, Line2D]] = []
    for index, (name, group) in enumerate(_largest(steps, amount, by, top)):
        at = bins.seconds(group["time"], df["time"]) - _start(df)
        place = np.clip(np.searchsorted(edges, at + 1e-6, "right") - 1, 0, len(edges) - 2)
        sums = np.bincount(place, group[amount].to_numpy(np.float64), len(edges) - 1)
        middle = (edges[:-1] + edges[1:]) / 2
        point = "o" if len(middle) < 50 else ""
        rates = sums / np.diff(edges)
        lines.append((name, artists.line(axes, middle, rates, index, marker=point)))
    axes.set_xlim(0, edges[-1])
    axes.set_ylim(bottom=0)
    figure.label_axis(axes.yaxis, label)
    figure.readable(axes.yaxis, unit)
    if by:
        _legend(result, lines)
    return result


def _largest(
    steps: pd.DataFrame, amount: str, by: str, top: int
) -> Iterator[tuple[str, pd.DataFrame]]:
    if not by:
        yield "events", steps
        return
    found = groups.top(steps, top, by=by, value=amount)
    names = [str(name) for name in found[by].tolist()][:top]
    texts = steps[by].astype("str")
    for name in names:
        yield figure.drawable(name, 24), steps[texts == name]
    others = steps[~texts.isin(names)]
    if len(others):
        yield "others", others


def _start(df: pd.DataFrame) -> float:
    """Return the start of the first interval, in seconds from the first reading: 0 or below."""
    begins = readings.begins(df["time"], df)
    return float((begins.min() - df["time"].min()).total_seconds())


def _edges(df: pd.DataFrame) -> Numbers:
    """Return the ends of the intervals, in seconds since the start of the first."""
    times: Any = df["time"].drop_duplicates().sort_values()
    edges: Numbers = np.concatenate([[0.0], bins.seconds(times, times) - _start(df)])
    lengths = np.diff(edges)
    if len(lengths) > 1 and lengths[-1] < _SHORT * np.median(lengths):
        edges = np.delete(edges, -2)
    return edges
