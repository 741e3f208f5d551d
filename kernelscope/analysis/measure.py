"""What a table measures: a column of values, or a histogram's buckets; and how much it lost."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd
from pandas.api import types

from kernelscope.errors import AnalysisError, did_you_mean, suggestion
from kernelscope.protocol.losses import Loss
from kernelscope.tables.attrs import receipt_of
from kernelscope.units import unit_of

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


class NothingMeasuredError(AnalysisError):
    """A table has neither durations nor a histogram; counts by process are such a table."""


def measured(df: pd.DataFrame, column: str | None = None) -> Measure:
    """Return what a table measures; `column` chooses where there are several.

    Raises AnalysisError where the column does not exist or holds no numbers; where `column` is
    needed and missing; and, as NothingMeasuredError, where there is nothing to choose from.
    """
    found = {measure.name: measure for measure in _histograms(df)}
    if column is None:
        return _only_one(df, found)
    for measure in found.values():
        if column in (measure.name, measure.low, measure.high, measure.base):
            return measure
    if column not in df.columns:
        raise unknown_column(df, column)
    if not is_number(df[column]):
        raise AnalysisError(
            f"{column} holds no numbers",
            hint=f"the columns with numbers are: {', '.join(_numbers(df)) or 'none'}",
            column=column,
        )
    return _single(column)


def _only_one(df: pd.DataFrame, found: dict[str, Measure]) -> Measure:
    if not found:
        names = [str(name) for name in df.columns if _DURATION.match(str(name))]
        found = {name: _single(name) for name in names if is_number(df[name])}
    if len(found) == 1:
        return next(iter(found.values()))
    error = AnalysisError if found else NothingMeasuredError
    raise error(
        "which column is meant?" if found else "the table has no durations and no histogram",
        hint=f"give one of: {', '.join(found or _numbers(df))}",
        column=None,
    )


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
    return Measure(name, name, name, unit_of(name))


def is_number(column: pd.Series[Any]) -> bool:
    """Whether a column holds numbers; True and False are none."""
    return types.is_numeric_dtype(column) and not types.is_bool_dtype(column)


def _numbers(df: pd.DataFrame) -> list[str]:
    return [str(name) for name in df.columns if is_number(df[name])]


def column_names(df: pd.DataFrame, by: str | Sequence[str] | None) -> list[str]:
    """Return the columns that `by` names, as a list. Raises AnalysisError for an unknown one."""
    names = [by] if isinstance(by, str) else list(by or ())
    for name in names:
        if name not in df.columns:
            raise unknown_column(df, name)
    return names


def unknown_column(df: pd.DataFrame, column: str) -> AnalysisError:
    """Return the error for a column that the table does not have."""
    names = [str(name) for name in df.columns]
    hint = suggestion(did_you_mean(column, names)) or f"Its columns are: {', '.join(names)}"
    return AnalysisError(f"the table has no column {column!r}", hint=hint, column=column)


def lost_events(df: pd.DataFrame) -> int:
    """Return how many events the run lost, by the table's receipt; 0 where it has none."""
    lost = receipt_of(df).get("lost")
    counts = lost.items() if isinstance(lost, Mapping) else ()
    return sum(
        int(count)
        for cause, count in counts
        if isinstance(count, int | float) and cause != Loss.STACK_SLOTS  # the event has a row
    )
