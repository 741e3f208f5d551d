"""Joins two captures: what another probe saw of the same process at the same time.

    opens = both["opensnoop"].ks.join(both["biosnoop"], on="pid", within="10ms")

Rows with times are joined to the nearest in time (pandas.merge_asof), tables of counts by their
keys alone.
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
    """Return every row of `df` with its row of `other`, or <NA> if there is none.

    on: columns that must be equal ("pid", ["pid", "tid"]); None for the time alone. within: how
    far apart in time the two may be. direction: "nearest", "backward" (the other came before, or
    at the same time) or "forward". suffix: added to the names of the other's columns; by default
    the other probe's name.

    Each row gets the nearest row of `other`, which may serve several. Where one of the tables has
    no times, rows are joined by `on` alone, and `other` must have each key once.

    Columns: all of `df`, then all of `other` but `on`, the suffix before the unit:
    "latency_biosnoop_ms"; "time_biosnoop"; and apart_ms, how much later the other's row is.
    Rows are in the order of `df`, and the receipt is the one of `df`. Raises AnalysisError.
    """
    keys = _keys(df, other, on)
    if direction not in _DIRECTIONS:
        raise AnalysisError(f"direction is {direction!r}", hint=f"one of {', '.join(_DIRECTIONS)}")
    name = suffix or _name_of(other, df)
    left, right = readings.last(df), readings.last(other)
    renamed = {str(c): _suffixed(str(c), name) for c in right.columns if c not in keys}
    right = _with_same_key_types(left, right.rename(columns=renamed), keys)
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
    """Return latency_biosnoop_ms for latency_ms: the unit stays at the end."""
    base, _, unit = column.rpartition("_")
    return f"{base}_{name}_{unit}" if base and unit in UNITS else f"{column}_{name}"


def _timed(df: pd.DataFrame) -> bool:
    found = "time" in df.columns and types.is_datetime64_any_dtype(df["time"])
    return found and not readings.growing(df)


def _with_same_key_types(left: pd.DataFrame, right: pd.DataFrame, keys: list[str]) -> pd.DataFrame:
    """Return `right` with the key types of `left`: uint32 and int64 would not match."""
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
    other_time = f"time_{name}"
    ordered = left.assign(_row=range(len(left)))
    ordered = ordered.astype({"time": "datetime64[ns, UTC]"}).sort_values("time", kind="stable")
    right = right.astype({other_time: "datetime64[ns, UTC]"}).sort_values(other_time, kind="stable")
    found = pd.merge_asof(
        ordered,
        right.assign(_at=right[other_time]),
        left_on="time",
        right_on="_at",
        by=keys or None,
        tolerance=within,
        direction=direction,
    )
    found = found.sort_values("_row", ignore_index=True).drop(columns=["_row", "_at"])
    found["apart_ms"] = (found[other_time] - found["time"]).dt.total_seconds() * 1000
    return found


def _by_keys(left: pd.DataFrame, right: pd.DataFrame, keys: list[str]) -> pd.DataFrame:
    if right.duplicated(keys).any():
        raise AnalysisError(
            f"the other table has several rows for one {' and '.join(keys)}, and no times",
            hint="add them up first: other.ks.top(1000, by=...)",
            column=keys[0],
        )
    return left.merge(right, on=keys, how="left")
