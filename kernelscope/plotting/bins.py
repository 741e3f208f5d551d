"""Tables prepared for plots: groups, buckets, and counts in bins of equal width."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from kernelscope.analysis.measure import Measure, measured
from kernelscope.analysis.top import top
from kernelscope.plotting import figure

Numbers = npt.NDArray[np.float64]

TIME_BINS = 60  # of a plot over time


def series(df: pd.DataFrame, by: str, limit: int) -> Iterator[tuple[str, pd.DataFrame]]:
    """Yield each of the `limit` largest groups with its name, the largest first."""
    if not by:
        yield "events", df
        return
    names = top(df, limit, by=by)[by].tolist()
    texts = df[by].astype("str")
    for name in names[:limit]:
        yield figure.drawable(str(name), 24), df[texts == str(name)]


def buckets(df: pd.DataFrame, measure: Measure) -> tuple[Numbers, Numbers, Numbers]:
    """Return low, high and count of each row; a single event has low = high and a count of 1."""
    low = df[measure.low].to_numpy(np.float64, na_value=np.nan)
    high = df[measure.high].to_numpy(np.float64, na_value=np.nan)
    count = df["count"].to_numpy(np.float64) if measure.is_histogram else np.ones(len(df))
    return low, high, np.where(np.isnan(low), 0, count)


def edges(parts: list[tuple[Numbers, Numbers, Numbers]], measure: Measure) -> Numbers:
    """Return bins for buckets: narrower than an octave where the buckets are."""
    low = np.concatenate([part[0] for part in parts]) if parts else np.empty(0)
    high = np.concatenate([part[1] for part in parts]) if parts else np.empty(0)
    positive = np.concatenate([low[low > 0], high[high > 0] if measure.is_histogram else []])
    if not len(positive):
        return log_edges(1, 2, 4)
    wide = measure.is_histogram and bool((high[low > 0] >= 1.9 * low[low > 0]).all())
    return log_edges(positive.min(), positive.max() * 1.0001, 1 if wide else 4)


def seconds(times: pd.Series[Any], since: pd.Series[Any]) -> Numbers:
    """Return the seconds from the first of `since` to each of `times`."""
    result: Numbers = (times - since.min()).dt.total_seconds().to_numpy(np.float64)
    return result


def columns(times: Numbers, most: int, *, in_moments: bool) -> Numbers:
    """Return the edges, in seconds from 0, of at most `most` columns of equal width.

    in_moments: the times are the starts of intervals in which events were counted. Where the
    intervals have one length, each column holds the same number of them, so that no column shows
    twice the events of its neighbour.
    """
    step = _moment(times) if in_moments else 0.0
    if not step:
        edges: Numbers = np.linspace(0, max(float(times.max()), 1e-6), most + 1)
        return edges
    moments = round(float(times.max()) / step) + 1
    each = math.ceil(moments / most)
    wide: Numbers = np.arange(math.ceil(moments / each) + 1, dtype=np.float64) * (each * step)
    return wide


def _moment(times: Numbers) -> float:
    """Return the length of the intervals that the times start; 0 where they differ in length."""
    distinct = np.unique(times)
    if len(distinct) < 3:
        return 0.0
    step = float(np.diff(distinct).min())
    places = distinct / step
    return step if float(np.abs(places - np.round(places)).max()) < 1e-3 else 0.0


def over_time(df: pd.DataFrame, at: Numbers, y: str | None, edges: Numbers) -> Numbers:
    """Return events per second, or the median of `y`, in each bin; NaN where a bin is empty."""
    place = np.clip(np.searchsorted(edges, at, "right") - 1, 0, len(edges) - 2)
    if y is None:
        rate: Numbers = np.bincount(place, minlength=len(edges) - 1) / (edges[1] - edges[0])
        return rate
    medians = df[measured(df, y).low].groupby(place).median()
    found: Numbers = medians.reindex(range(len(edges) - 1)).to_numpy(np.float64)
    return found


def log_edges(low: float, high: float, per_octave: int) -> Numbers:
    """Return edges around [low, high], both above 0, at equal steps of the logarithm."""
    first = math.floor(math.log2(low) * per_octave)
    last = max(first + 1, math.ceil(math.log2(high) * per_octave))
    edges: Numbers = 2.0 ** (np.arange(first, last + 1) / per_octave)
    return edges


def rebinned(
    low: Numbers,
    high: Numbers,
    count: Numbers,
    edges: Numbers,
) -> Numbers:
    """Return the counts of buckets [low, high) in other bins, by overlap, whole events each.

    Log-linear buckets differ in width by up to two. Drawn as they are, they would look like a comb;
    bins of equal width on the logarithmic axis do not.
    """
    result = np.zeros(len(edges) - 1)
    for left, right, number in zip(low, high, count, strict=True):
        overlap = np.clip(np.minimum(edges[1:], right) - np.maximum(edges[:-1], left), 0, None)
        total = overlap.sum()
        if total > 0:
            shares = np.cumsum(number * overlap / total)
            if number == round(number):  # whole events: nobody can see 0.95 of one
                shares = np.floor(shares + 0.5 - 1e-9)
            result += np.diff(shares, prepend=0.0)
        else:  # a bucket without width, or outside: its nearest bin
            result[np.clip(np.searchsorted(edges, left, "right") - 1, 0, len(result) - 1)] += number
    return result
