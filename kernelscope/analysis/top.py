"""The largest groups of a table, and the rest as one row. DataFrame in, DataFrame out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pandas as pd
from pandas.api import types

from kernelscope.analysis import readings
from kernelscope.analysis.measure import column_names, is_number, measured, unknown_column
from kernelscope.errors import AnalysisError


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
    groups = column_names(df, by) or _first_text(df)
    if n < 1:
        raise AnalysisError(f"n is {n}", hint="give how many rows to keep, 1 or more", column=None)
    if value is None and "count" in df.columns:
        value = "count"
    if value is not None and not is_number(df[measured(df, value).low]):
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


def _first_text(df: pd.DataFrame) -> list[str]:
    for name in df.columns:
        if types.is_string_dtype(df[name]):
            return [str(name)]
    raise AnalysisError("the table has no column of text", hint="give `by`", column=None)


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
