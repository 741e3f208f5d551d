"""Builds the DataFrame of a table from its decoded columns."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any

import pandas as pd

from kernelscope.errors import ProbeSpecError
from kernelscope.probe.column_kinds import is_additive
from kernelscope.probe.model import Column


def assembled(
    columns: Sequence[Column],
    data: Mapping[str, Any],
    sort: Sequence[str] = (),
    *,
    padded: bool = False,
) -> pd.DataFrame:
    """Build the DataFrame: only the occupied buckets of a histogram, sorted by the names given.

    sort: the DataFrame's columns, "-" before one for descending. padded: the map's key has bytes
    that no column shows; rows that differ in them alone are added up.
    """
    frame = _framed(data)
    if padded or any(column.kind.endswith("_stack") for column in columns):
        frame = _merged(columns, frame)
    if any(column.kind == "slot" for column in columns):
        counts = [column.name for column in columns if column.kind == "count"]
        if counts:
            frame = frame[(frame[counts] != 0).any(axis=1)].reset_index(drop=True)
    if sort:
        names = [name.removeprefix("-") for name in sort]
        if missing := [name for name in names if name not in frame.columns]:
            raise ProbeSpecError(
                f"the table cannot be sorted by {missing[0]!r}: it has no such column",
                hint=f"its columns are {', '.join(map(str, frame.columns))}",
                key="table.sort",
            )
        frame = frame.sort_values(
            names,
            ascending=[not name.startswith("-") for name in sort],
            kind="stable",
            ignore_index=True,
        )
    return frame


def _framed(data: Mapping[str, Any]) -> pd.DataFrame:
    if not data:
        return pd.DataFrame(data)
    frame = pd.DataFrame(dict(enumerate(data.values())), copy=False)
    frame.columns = _names(tuple(data)).view()  # copy: renaming must not rename the cached index
    return frame


@lru_cache(maxsize=256)
def _names(names: tuple[str, ...]) -> pd.Index:
    """Return the columns' names as an index; creating one is half the cost of a small table."""
    return pd.Index(names)


def _merged(columns: Sequence[Column], frame: pd.DataFrame) -> pd.DataFrame:
    """Add up rows that look the same: they differ in a stack's addresses or in padding alone."""
    how = amounts(columns)
    keys = [name for name in frame.columns if name not in how]
    if not how or not keys or not frame.duplicated(keys).any():
        return frame
    added = frame.groupby(keys, sort=False, dropna=False, as_index=False).agg(how)
    return added[list(frame.columns)]


def is_amount(column: Column) -> bool:
    """Whether rows of a map can be merged by this column's sum, least or most."""
    of_map = column.field.startswith("value") and is_additive(column.kind)
    return column.kind == "count" or of_map


def amounts(columns: Sequence[Column]) -> dict[str, str]:
    """Return how rows are merged: "sum", "min" or "max" of each column that is an amount."""
    return {column.name: _aggregate(column) for column in columns if is_amount(column)}


def _aggregate(column: Column) -> str:
    least_or_most = column.name.partition("_")[0]
    return least_or_most if least_or_most in ("min", "max") else "sum"
