"""Tables of maps that were read at intervals: each reading holds everything counted so far.

    counts = kernelscope.run("syscount", duration=10, interval=1)["calls"]
    readings.increments(counts)    # what each second added

To add up rows, use the last reading alone, or the increments. A table's receipt states that it
holds readings, under "readings": how each column that grows is added up.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from pandas.api import types

from kernelscope.tables.attrs import KEY, READINGS, receipt_of


def growing(df: pd.DataFrame) -> dict[str, str]:
    """Return the columns that grow from reading to reading: {"count": "sum"}; empty without."""
    return dict(receipt_of(df).get(READINGS) or {})


def last(df: pd.DataFrame) -> pd.DataFrame:
    """Return the rows of the last reading, which has all counts; other tables as they are."""
    if not growing(df) or not len(df):
        return df
    return _unmarked(df[df["time"] == df["time"].max()], df)


def increments(df: pd.DataFrame) -> pd.DataFrame:
    """Return what each reading added, with the start of its interval; other tables unchanged.

    Columns: as the table's, "time" being the reading before (or the run's start); the columns that
    grow hold what was added, and rows that added nothing are left out. Columns of a least or most
    are left out: their value within an interval is not known.
    """
    grow = growing(df)
    sums = [name for name, how in grow.items() if how == "sum" and name in df.columns]
    if not grow or not sums:
        return df
    keys = [name for name in df.columns if name not in grow and name != "time"]
    kept = df[["time", *keys, *sums]].sort_values("time", kind="stable", ignore_index=True)
    numbers = kept[sums].astype({name: _signed(kept[name]) for name in sums})
    before = _before(numbers, kept, keys)
    result = kept.assign(
        **{name: added(numbers[name], before[name]).astype(kept[name].dtype) for name in sums}
    )
    result["time"] = begins(kept["time"], df)
    shown = result[(result[sums] != 0).any(axis=1)].reset_index(drop=True)
    return _unmarked(shown[[name for name in df.columns if name in shown.columns]], df)


def _before(numbers: pd.DataFrame, kept: pd.DataFrame, keys: list[str]) -> pd.DataFrame:
    """Return each entry's numbers in the reading before; 0 where that reading did not have it."""
    reading = kept["time"].rank(method="dense").rename("_reading")
    with_reading = numbers.assign(_reading=reading)
    shifted = (
        with_reading.groupby([kept[key] for key in keys], dropna=False, observed=True).shift()
        if keys
        else with_reading.shift()
    )
    followed = shifted["_reading"] == reading - 1
    return shifted[list(numbers.columns)].where(followed, 0)


def added(now: Any, before: Any) -> Any:
    """Return what was added since the reading before: the one rule for what a map counted.

    A number that fell is of an entry that was deleted and counted from 0 again.
    """
    return np.where(now >= before, now - before, now)


def _signed(column: pd.Series[Any]) -> str:
    return "float64" if types.is_float_dtype(column) else "int64"


def begins(times: pd.Series[Any], df: pd.DataFrame) -> pd.Series[Any]:
    """Return the reading before each one; before the first, the run's start."""
    at = pd.Series(times.unique()).sort_values(ignore_index=True)
    before = at.shift()
    started = receipt_of(df).get("started")
    first = pd.Timestamp(str(started)) if started else at.iloc[0] - at.diff().median()
    before.iloc[0] = first if pd.notna(first) and first < at.iloc[0] else at.iloc[0]
    return times.map(dict(zip(at, before, strict=True))).astype(times.dtype)


def _unmarked(made: pd.DataFrame, df: pd.DataFrame) -> pd.DataFrame:
    made = made.copy(deep=False)
    receipt = {name: item for name, item in receipt_of(df).items() if name != READINGS}
    made.attrs = {**df.attrs, KEY: receipt}
    return made
