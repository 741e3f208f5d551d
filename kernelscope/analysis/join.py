"""Two captures side by side: what a second probe saw of the same process at the same time.

    opens = both["opensnoop"].ks.join(both["biosnoop"], on="pid", within="10ms")

Rows that have times are joined to the nearest in time (pandas.merge_asof); tables of counts by
their keys alone.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import pandas as pd
from pandas.api import types

from kernelscope import converters
from kernelscope.analysis import readings
from kernelscope.analysis.measure import column_names
from kernelscope.errors import AnalysisError
from kernelscope.tables.attrs import receipt_of
from kernelscope.units import UNITS

_DIRECTIONS = ("nearest", "backward", "forward")


def join(
    df: pd.DataFrame,
    other: pd.DataFrame,
    on: str | Sequence[str] | None = "pid",
    within: Any = "10ms",
    *,
    direction: str = "nearest",
    suffix: str = "",
) -> pd.DataFrame:
    """Return every row of `df` with what `other` has beside it, or nothing (<NA>) where it has not.

    on: columns that must be equal ("pid", ["pid", "tid"]); None for none but the time. within: how
    far apart in time the two may be. direction: "nearest", "backward" (the other came before, or
    at once) or "forward". suffix: what the other's columns are called by, without it the other
    probe's name.

    A row has the one row of `other` that is nearest; that one may be beside several. Where one of
    both has no times, rows are joined by `on` alone, and `other` must have each key once.

    Columns: all of `df`, then all of `other` but `on`, the suffix before the unit:
    "latency_biosnoop_ms"; "time_biosnoop"; and apart_ms, how much later the other's row is.
    Rows are in the order of `df`, whose receipt goes along. Raises AnalysisError.
    """
    keys = _keys(df, other, on)
    if direction not in _DIRECTIONS:
        raise AnalysisError(f"direction is {direction!r}", hint=f"one of {', '.join(_DIRECTIONS)}")
    name = suffix or _name_of(other, df)
    left, right = readings.last(df), readings.last(other)
    renamed = {str(c): _suffixed(str(c), name) for c in right.columns if c not in keys}
    right = _alike(left, right.rename(columns=renamed), keys)
    if clash := sorted(set(renamed.values()) & set(left.columns)):
        raise AnalysisError(f"both have a column {clash[0]}", hint="give another `suffix`")
    if _timed(left) and _timed(other):
        result = _as_of(left, right, keys, name, _tolerance(within), direction)
    else:
        result = _by_keys(left, right, keys)
    result.attrs.update(left.attrs)
    return result


def _keys(df: pd.DataFrame, other: pd.DataFrame, on: str | Sequence[str] | None) -> list[str]:
    keys = column_names(df, on)
    column_names(other, on)
    if not keys and not (_timed(df) and _timed(other)):
        raise AnalysisError("the tables have no times to join by", hint='give `on`, such as "pid"')
    return keys


def _name_of(other: pd.DataFrame, df: pd.DataFrame) -> str:
    names = [receipt_of(table).get("name") for table in (other, df)]
    return str(names[0]) if names[0] and names[0] != names[1] else "other"


def _suffixed(column: str, name: str) -> str:
    """Return latency_biosnoop_ms of latency_ms, so that the unit stays the name's end."""
    base, _, unit = column.rpartition("_")
    return f"{base}_{name}_{unit}" if base and unit in UNITS else f"{column}_{name}"


def _timed(df: pd.DataFrame) -> bool:
    found = "time" in df.columns and types.is_datetime64_any_dtype(df["time"])
    return found and not readings.growing(df)


def _alike(left: pd.DataFrame, right: pd.DataFrame, keys: list[str]) -> pd.DataFrame:
    """Return `right` with keys of the types that `left` has: uint32 and int64 would not meet."""
    return right.astype(
        {key: left[key].dtype for key in keys if left[key].dtype != right[key].dtype}
    )


def _tolerance(within: Any) -> pd.Timedelta:
    try:
        seconds = converters.duration(within)
    except ValueError as error:
        raise AnalysisError(f"within {within!r}: {error}", hint="give one such as 10ms") from None
    if not 0 <= seconds < math.inf:
        raise AnalysisError(f"within {within!r}: not a length of time", hint="give one: 10ms")
    return pd.Timedelta(round(seconds * 1e9), "ns")


def _as_of(
    left: pd.DataFrame,
    right: pd.DataFrame,
    keys: list[str],
    name: str,
    within: pd.Timedelta,
    direction: Any,
) -> pd.DataFrame:
    theirs = f"time_{name}"
    ordered = left.assign(_row=range(len(left)))
    ordered = ordered.astype({"time": "datetime64[ns, UTC]"}).sort_values("time", kind="stable")
    right = right.astype({theirs: "datetime64[ns, UTC]"}).sort_values(theirs, kind="stable")
    found = pd.merge_asof(
        ordered,
        right.assign(_at=right[theirs]),
        left_on="time",
        right_on="_at",
        by=keys or None,
        tolerance=within,
        direction=direction,
    )
    found = found.sort_values("_row", ignore_index=True).drop(columns=["_row", "_at"])
    found["apart_ms"] = (found[theirs] - found["time"]).dt.total_seconds() * 1000
    return found


def _by_keys(left: pd.DataFrame, right: pd.DataFrame, keys: list[str]) -> pd.DataFrame:
    if right.duplicated(keys).any():
        raise AnalysisError(
            f"the other table has several rows for one {' and '.join(keys)}, and no times",
            hint="sum it up first: other.ks.top(1000, by=...)",
            column=keys[0],
        )
    return left.merge(right, on=keys, how="left")
