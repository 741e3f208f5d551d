"""Which plot a table gets: the one of a given kind, or the first that its probe proposes."""

from __future__ import annotations

import dataclasses
import inspect
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import pandas as pd
from pandas.api import types

from kernelscope.analysis import stack_tree
from kernelscope.analysis.measure import measured
from kernelscope.analysis.proposed_plots import plots_of
from kernelscope.errors import AnalysisError
from kernelscope.plotting.charts import bars, flamegraph, heatmap, histogram, percentiles
from kernelscope.plotting.figure import Figure
from kernelscope.plotting.timeseries import timeseries
from kernelscope.probe.model import Plot

# A plot's kind -> the function that draws it, and its arguments by the fields of a `Plot`.
_KINDS: dict[str, tuple[Callable[..., Figure], Callable[[Plot], dict[str, Any]]]] = {
    "histogram": (histogram, lambda p: {"x": p.x or None, "by": p.by, "top": p.top}),
    "percentiles": (percentiles, lambda p: {"column": p.x or None, "by": p.by, "top": p.top}),
    "heatmap": (heatmap, lambda p: {"x": p.x or "time", "y": p.y or None}),
    "bars": (bars, lambda p: {"x": p.x or None, "value": p.value or None, "top": p.top}),
    "timeseries": (
        timeseries,
        lambda p: {
            "x": p.x or "time", "y": p.y or None, "by": p.by, "value": p.value or None,
            "top": p.top,
        },
    ),
    "flamegraph": (flamegraph, lambda p: {"value": p.value or "count"}),
}  # fmt: skip


def default(df: pd.DataFrame, kind: str | None = None, *, title: str = "") -> Figure:
    """Return the plot that fits a table, or its plot of that kind, with that title.

    It is the first that the probe's description proposes for this table and that its columns allow;
    without a description the columns decide. Raises AnalysisError where nothing fits.
    """
    if kind is not None:
        _check_kind(kind)
    proposed = [plot for plot in plots_of(df) if plot.kind in _KINDS]
    for plot in [*proposed, *_by_shape(df)]:
        if kind in (None, plot.kind) and _has_columns(df, plot):
            return draw(df, dataclasses.replace(plot, title=title or plot.title))
    return draw(df, Plot(kind or "bars", title=title))


def named(df: pd.DataFrame, kind: str | None, options: Mapping[str, Any]) -> Figure:
    """Return the plot of that kind with its own options; the default plot takes a title only.

    Raises AnalysisError for an unknown kind or option.
    """
    if kind is None and set(options) == {"title"}:
        return default(df, title=options["title"])
    if kind is None:
        raise AnalysisError(
            "options need a kind of plot",
            hint=f"name one of: {', '.join(_KINDS)}",
            column=None,
        )
    _check_kind(kind)
    function, _ = _KINDS[kind]
    known = [name for name in inspect.signature(function).parameters if name != "df"]
    for option in options:
        if option not in known:
            raise AnalysisError(
                f"{kind} has no option {option!r}", hint=f"it has: {', '.join(known)}", column=None
            )
    return function(df, **options)


def draw(df: pd.DataFrame, plot: Plot) -> Figure:
    """Return the plot of a probe's description."""
    function, arguments = _KINDS[plot.kind]
    by = plot.by if plot.by in df.columns else ""
    return function(df, **arguments(dataclasses.replace(plot, by=by)), title=plot.title)


def _check_kind(kind: str) -> None:
    if kind not in _KINDS:
        raise AnalysisError(
            f"there is no plot {kind!r}", hint=f"there are: {', '.join(_KINDS)}", column=None
        )


def _by_shape(df: pd.DataFrame) -> Iterator[Plot]:
    if stack_tree.stack_columns(df):
        yield Plot("flamegraph")
    try:
        measure = measured(df).name
    except AnalysisError:
        measure = ""
    timed = "time" in df.columns and types.is_datetime64_any_dtype(df["time"])
    if timed:
        yield Plot("heatmap", y=measure) if measure else Plot("timeseries")
    if measure:
        yield Plot("histogram", x=measure)
        yield Plot("percentiles", x=measure)
    if timed:
        yield Plot("timeseries")
    yield Plot("bars")


def _has_columns(df: pd.DataFrame, plot: Plot) -> bool:
    try:
        for name in filter(None, (plot.x, plot.y, plot.value)):
            if name not in df.columns:
                measured(df, name)
    except AnalysisError:
        return False
    return True
