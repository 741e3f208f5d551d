"""Percentiles with their error bounds, and the largest groups. DataFrame in, DataFrame out.

A percentile is the nearest-rank one: p90 of n events is the value of rank ceil(0.9 n), counted
from the smallest. Of single events it is exact; of a histogram it lies within its bucket's bounds.
Lost events widen the bounds: they may all have been smaller, or all larger, than those that came.

Of a map that was read at intervals the last reading counts, which holds what all of them counted.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from pandas.api import types

from kernelscope.analysis import readings
from kernelscope.errors import AnalysisError, did_you_mean

MAX_LOST = 0.1
UNITS = ("ns", "us", "ms", "s", "bytes")

_LOW = re.compile(r"(?P<base>\w+)_low(?P<unit>_[a-z]+)?\Z")
_DURATION = re.compile(r"\w+_(?:ns|us|ms|s)\Z")


@dataclass(frozen=True)
class Measure:
    """What a table measures: a column of values, or a histogram's two columns of bounds.

    low, high: column names; the same one for single events. unit: of the values, "" for none.
    """

    name: str
    low: str
    high: str
    unit: str

    @property
    def base(self) -> str:
        """The name without its unit."""
        return self.name.removesuffix(f"_{self.unit}")

    @property
    def is_histogram(self) -> bool:
        """Whether rows are buckets [low, high) with a count."""
        return self.low != self.high


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
    groups = names(df, by)
    lost = lost_events(df)
    _refuse_loss(df, measure, lost, max_lost)
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


def measured(df: pd.DataFrame, column: str | None = None) -> Measure:
    """Return what a table measures; `column` chooses where there are several.

    Raises AnalysisError where the column is not there or holds no numbers, or none stands out.
    """
    found = {measure.name: measure for measure in _histograms(df)}
    if column is None:
        if not found:
            names = [str(name) for name in df.columns if _DURATION.match(str(name))]
            found = {name: _single(name) for name in names if _is_number(df[name])}
        if len(found) == 1:
            return next(iter(found.values()))
        raise AnalysisError(
            "which column is meant?" if found else "the table has no durations and no histogram",
            hint=f"give one of: {', '.join(found or _numbers(df))}",
            column=None,
        )
    for measure in found.values():
        if column in (measure.name, measure.low, measure.high, measure.base):
            return measure
    if column not in df.columns:
        raise unknown_column(df, column)
    if not _is_number(df[column]):
        raise AnalysisError(
            f"{column} holds no numbers",
            hint=f"the columns with numbers are: {', '.join(_numbers(df)) or 'none'}",
            column=column,
        )
    return _single(column)


def top(
    df: pd.DataFrame,
    n: int = 10,
    by: str | Sequence[str] | None = None,
    value: str | None = None,
) -> pd.DataFrame:
    """Return the `n` largest groups, and one row "other" for the rest where there is one.

    by: columns to group by; without, the first column of text. value: the column that is added up;
    without, "count" where there is such a column, else the number of rows.

    The result has the columns of `by`, the value ("count" for a number of rows) and "share", of
    all, 0 to 1. In the row "other", columns of numbers hold <NA>; where `by` has no text, its
    columns become text. Raises AnalysisError for an unknown column.
    """
    df = readings.last(df)
    groups = names(df, by) or _first_text(df)
    if n < 1:
        raise AnalysisError(f"n is {n}", hint="give how many rows to keep, 1 or more", column=None)
    if value is None and "count" in df.columns:
        value = "count"
    if value is not None and not _is_number(df[measured(df, value).low]):
        raise unknown_column(df, value)
    grouped = df.groupby(groups, sort=False, dropna=False, observed=True)
    totals = grouped.size() if value is None else grouped[value].sum()
    name = value or "count"
    table = totals.rename(name).sort_values(ascending=False, kind="stable").reset_index()
    whole = table[name].sum()
    result = _with_other(table, groups, name, n)
    result["share"] = result[name] / whole if whole else 0.0
    result.attrs.update(df.attrs)
    return result


def lost_events(df: pd.DataFrame) -> int:
    """Return how many events the run lost, by the table's receipt; 0 where it has none."""
    receipt = df.attrs.get("kernelscope") or {}
    return sum(int(number) for number in (receipt.get("lost") or {}).values())


def unknown_column(df: pd.DataFrame, column: str) -> AnalysisError:
    """Return the error for a column that the table does not have."""
    names = [str(name) for name in df.columns]
    close = did_you_mean(column, names)
    hint = f"Did you mean {' or '.join(close)}?" if close else f"There are: {', '.join(names)}"
    return AnalysisError(f"the table has no column {column!r}", hint=hint, column=column)


# --- columns -------------------------------------------------------------------------------------


def _histograms(df: pd.DataFrame) -> Iterator[Measure]:
    names = [str(name) for name in df.columns]
    for name in names:
        match = _LOW.match(name)
        if match is None:
            continue
        base, unit = match["base"], match["unit"] or ""
        if f"{base}_high{unit}" in names and "count" in names:
            yield Measure(f"{base}{unit}", name, f"{base}_high{unit}", unit.removeprefix("_"))


def _single(name: str) -> Measure:
    unit = name.rpartition("_")[2]
    return Measure(name, name, name, unit if unit in UNITS else "")


def _is_number(column: pd.Series[Any]) -> bool:
    return types.is_numeric_dtype(column) and not types.is_bool_dtype(column)


def _numbers(df: pd.DataFrame) -> list[str]:
    return [str(name) for name in df.columns if _is_number(df[name])]


def _first_text(df: pd.DataFrame) -> list[str]:
    for name in df.columns:
        if types.is_string_dtype(df[name]):
            return [str(name)]
    raise AnalysisError("the table has no column of text", hint="give `by`", column=None)


def names(df: pd.DataFrame, by: str | Sequence[str] | None) -> list[str]:
    """Return the columns that `by` names, as a list. Raises AnalysisError for an unknown one."""
    names = [by] if isinstance(by, str) else list(by or ())
    for name in names:
        if name not in df.columns:
            raise unknown_column(df, name)
    return names


def _groups(df: pd.DataFrame, by: list[str]) -> Iterator[tuple[tuple[Any, ...], pd.DataFrame]]:
    if not by:
        yield (), df
        return
    for key, group in df.groupby(by, sort=True, dropna=False, observed=True):
        yield key if isinstance(key, tuple) else (key,), group


# --- ranks ---------------------------------------------------------------------------------------


def _checked_quantiles(q: float | Sequence[float]) -> list[float]:
    wanted = [float(item) for item in (q if isinstance(q, Sequence) else [q])]
    for percent in wanted:
        if not 0 <= percent <= 100:
            raise AnalysisError(
                f"q is {percent:g}", hint="percentiles go from 0 to 100", column=None
            )
    return wanted


def _refuse_loss(df: pd.DataFrame, measure: Measure, lost: int, max_lost: float) -> None:
    total = int(df["count"].sum()) if measure.is_histogram else len(df)
    share = lost / (total + lost) if lost else 0.0
    if share > max_lost:
        allowed = min(1.0, share + 0.01)
        raise AnalysisError(
            f"{lost:,} of {total + lost:,} events were lost: too many for percentiles",
            hint=f"lose fewer (a filter, a larger ring) or allow it: max_lost={allowed:.2f}",
            lost_share=share,
        )


@dataclass(frozen=True)
class _Ranked:
    """Values or buckets in order, with how many events there are up to each.

    floor: what no lost event can have been below: 0 where nothing that came was negative.
    """

    low: npt.NDArray[Any]
    high: npt.NDArray[Any]
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
        """Return the best guess and the bounds between which the true percentile lies."""
        value = self._guess(_rank(percent, self.total))
        rank = _rank(percent, self.total + lost)
        # rank - lost: all lost events were smaller. rank: all of them were larger.
        low = self.low[self._at(rank - lost)] if rank > lost else self.floor
        high = self.high[self._at(rank)] if rank <= self.total else math.inf
        return value, float(low), float(high)

    def _at(self, rank: int) -> int:
        return int(np.searchsorted(self.upto, rank))

    def _guess(self, rank: int) -> float:
        at = self._at(rank)
        before = int(self.upto[at - 1]) if at else 0
        share = (rank - before - 0.5) / (int(self.upto[at]) - before)
        return float(self.low[at] + (self.high[at] - self.low[at]) * share)


def _rank(percent: float, total: int) -> int:
    """Return ceil(percent / 100 * total), at least 1, without a float's rounding."""
    return max(1, math.ceil(Fraction(str(percent)) * total / 100))


def _with_other(table: pd.DataFrame, by: list[str], value: str, n: int) -> pd.DataFrame:
    if len(table) <= n:
        return table
    texts = [name for name in by if not types.is_integer_dtype(table[name])] or by
    result = table.head(n).copy()
    other: dict[str, Any] = {name: "other" if name in texts else pd.NA for name in by}
    other[value] = table[value].iloc[n:].sum()
    kinds: dict[Any, Any] = {name: "str" if name in texts else "Int64" for name in by}
    last = pd.DataFrame({name: [item] for name, item in other.items()})
    return pd.concat([result.astype(kinds), last.astype(kinds)], ignore_index=True)
