"""Percentiles with their error bounds. DataFrame in, DataFrame out.

A percentile is the nearest-rank one: p90 of n events is the value of rank ceil(0.9 n), counted
from the smallest. For single events it is exact; in a histogram it is within its bucket's bounds.
Lost events widen the bounds: they may all have been smaller, or all larger, than those that came.

For a map that was read at intervals the last reading is used: it holds all that was counted.

This is the only implementation: live views (`in_buckets`) and comparisons (`value_at`) use it too.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from kernelscope.analysis import readings
from kernelscope.analysis.measure import Measure, column_names, lost_events, measured
from kernelscope.errors import AnalysisError

Numbers = npt.NDArray[np.float64]
Places = npt.NDArray[np.int64]

MAX_LOST = 0.1


def percentiles(
    df: pd.DataFrame,
    column: str | None = None,
    q: float | Sequence[float] = (50, 90, 99),
    by: str | Sequence[str] | None = None,
    *,
    max_lost: float = MAX_LOST,
) -> pd.DataFrame:
    """Return percentiles of a histogram table or of a column of single events.

    column: "latency_us"; needed only where the table measures several things. q: in percent.
    by: columns to group by; without, all rows are taken together.

    The result has the columns of `by`, then q, value, low and high, the last three with the
    unit in their names ("value_us"). The true percentile is in [low, high]; `value` is the best
    guess, within a bucket by its share of the bucket's events. Rows with no value are left out.

    Raises AnalysisError for an unknown column, a q outside 0 to 100, and where more than the share
    `max_lost` of all events was lost: bounds that wide would say nothing.
    """
    df = readings.last(df)
    measure = measured(df, column)
    wanted = _checked_quantiles(q)
    groups = column_names(df, by)
    lost = lost_events(df)
    _check_loss(df, measure, lost, max_lost)
    rows = []
    for key, group in _groups(df, groups):
        ranked = _Ranked.of(group, measure)
        if ranked.total:
            rows += [(*key, percent, *ranked.percentile(percent, lost)) for percent in wanted]
    unit = f"_{measure.unit}" if measure.unit else ""
    numbers = ["q", f"value{unit}", f"low{unit}", f"high{unit}"]
    result = pd.DataFrame(rows, columns=[*groups, *numbers]).astype(dict.fromkeys(numbers, float))
    result.attrs.update(df.attrs)
    return result


def _groups(df: pd.DataFrame, by: list[str]) -> Iterator[tuple[tuple[Any, ...], pd.DataFrame]]:
    if not by:
        yield (), df
        return
    for key, group in df.groupby(by, sort=True, dropna=False, observed=True):
        yield key if isinstance(key, tuple) else (key,), group


def _checked_quantiles(q: float | Sequence[float]) -> list[float]:
    wanted = [float(item) for item in (q if isinstance(q, Sequence) else [q])]
    for percent in wanted:
        if not 0 <= percent <= 100:
            raise AnalysisError(
                f"q is {percent:g}", hint="percentiles go from 0 to 100", column=None
            )
    return wanted


def _check_loss(df: pd.DataFrame, measure: Measure, lost: int, max_lost: float) -> None:
    total = int(df["count"].sum()) if measure.is_histogram else len(df)
    share = lost / (total + lost) if lost else 0.0
    if share > max_lost:
        allowed = min(1.0, share + 0.01)
        raise AnalysisError(
            f"{lost:,} of {total + lost:,} events were lost: too many for percentiles",
            hint=f"lose fewer (a filter, a larger ring) or allow it: max_lost={allowed:.2f}",
            lost_share=share,
        )


# --- ranks and buckets ---------------------------------------------------------------------------


def rank_of(percent: float, total: float) -> int:
    """Return the nearest rank: ceil(percent / 100 * total), at least 1; exact for whole totals."""
    share = _share(percent)
    if float(total).is_integer():
        return max(1, -(-int(total) * share.numerator // share.denominator))
    return max(1, math.ceil(total * share * (1 - 1e-12)))


@lru_cache(maxsize=64)
def _share(percent: float) -> Fraction:
    return Fraction(str(percent)) / 100


def bucket_of(upto: npt.NDArray[Any], rank: float | Numbers) -> Places:
    """Return the bucket of each rank. upto: how many events there are up to each bucket's end."""
    found: Places = np.minimum(np.searchsorted(upto, rank), len(upto) - 1)
    return found


def value_at(
    low: npt.NDArray[Any],
    high: npt.NDArray[Any],
    upto: npt.NDArray[Any],
    position: float | Numbers,
) -> Numbers:
    """Return the value at a position among the events. upto: as of `bucket_of`.

    Event k (from 1) is at position k - 0.5: a bucket's events are spread evenly over it.
    """
    at = bucket_of(upto, position)
    before = np.where(at > 0, upto[at - 1], 0)
    return _within(low[at], high[at], (position - before) / np.maximum(upto[at] - before, 1e-12))


def _within(low: Numbers, high: Numbers, share: Numbers) -> Numbers:
    value: Numbers = low + (high - low) * np.clip(share, 0, 1)
    return value


def in_buckets(
    low: Numbers, high: Numbers, counts: Numbers, percent: float
) -> tuple[Numbers, Numbers, Numbers]:
    """Return the best guess and the bounds of one percentile for each row of counts.

    counts: (rows, buckets); they may be fractions of events. An empty row gives NaN.
    """
    upto = np.cumsum(counts, axis=1)
    total = upto[:, -1]
    rank = np.minimum([rank_of(percent, each) for each in total.tolist()], total)
    at = np.minimum((upto < rank[:, None] * (1 - 1e-9)).sum(axis=1), len(low) - 1)
    inside = counts[np.arange(len(counts)), at]
    before = upto[np.arange(len(counts)), at] - inside
    position = rank - np.minimum(0.5, inside / 2)
    guess = _within(low[at], high[at], (position - before) / np.where(inside > 0, inside, 1))
    return tuple(np.where(total > 0, each, np.nan) for each in (guess, low[at], high[at]))  # type: ignore[return-value]


@dataclass(frozen=True)
class _Ranked:
    """Values or buckets in order, with how many events there are up to each.

    floor: what no lost event can have been below: 0 where nothing that came was negative.
    """

    low: Numbers
    high: Numbers
    upto: npt.NDArray[np.int64]
    floor: float

    @classmethod
    def of(cls, df: pd.DataFrame, measure: Measure) -> _Ranked:
        low = df[measure.low].to_numpy(dtype=np.float64, na_value=np.nan)
        high = df[measure.high].to_numpy(dtype=np.float64, na_value=np.nan)
        count = df["count"].to_numpy(np.int64) if measure.is_histogram else np.ones(len(df), int)
        keep = ~np.isnan(low) & (count > 0)
        low, high, count = low[keep], high[keep], count[keep]
        order = np.argsort(low, kind="stable")
        floor = -math.inf if len(low) and low.min() < 0 else 0.0
        return cls(low[order], high[order], np.cumsum(count[order]), floor)

    @property
    def total(self) -> int:
        return int(self.upto[-1]) if len(self.upto) else 0

    def percentile(self, percent: float, lost: int) -> tuple[float, float, float]:
        """Return the best guess and the bounds between which the true percentile is."""
        guess = self._guess(rank_of(percent, self.total))
        rank = rank_of(percent, self.total + lost)
        # rank - lost: all lost events were smaller. rank: all of them were larger.
        low = self.low[bucket_of(self.upto, rank - lost)] if rank > lost else self.floor
        high = self.high[bucket_of(self.upto, rank)] if rank <= self.total else math.inf
        return guess, float(low), float(high)

    def _guess(self, rank: int) -> float:
        """Return the value of a rank, in a bucket to a hundredth of its width."""
        value = float(value_at(self.low, self.high, self.upto, rank - 0.5))
        at = bucket_of(self.upto, rank)
        width = float(self.high[at] - self.low[at])
        if not 0 < width < math.inf:
            return value
        rounded = round(value, 2 - math.floor(math.log10(width)))
        return min(max(rounded, float(self.low[at])), float(self.high[at]))
