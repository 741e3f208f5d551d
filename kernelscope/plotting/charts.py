"""Pictures of results. DataFrame in, Figure out; nothing of pyplot's global state is touched.

`default` draws what a probe's description proposes; the others draw what they are named for. Each
raises AnalysisError where the table lacks what it needs.
"""

from __future__ import annotations

import dataclasses
import inspect
import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import LogNorm
from pandas.api import types

from kernelscope import units
from kernelscope.analysis import percentiles as analysis
from kernelscope.analysis import readings, stack_tree
from kernelscope.analysis.measure import Measure, measured, unknown_column
from kernelscope.analysis.top import top as top_of
from kernelscope.errors import AnalysisError, ProbeNotFoundError
from kernelscope.plotting import artists, bins, figure
from kernelscope.plotting import flamegraph as flames
from kernelscope.plotting import timeseries as plot_readings
from kernelscope.plotting.bins import Numbers
from kernelscope.plotting.figure import INK, PALETTE, Figure
from kernelscope.probe import catalogue
from kernelscope.probe.model import Plot
from kernelscope.tables.attrs import receipt_of

_TIME_BINS = 60
_CURVE = (0, 10, 25, 50, 75, 90, 95, 99, 99.5, 99.9, 99.99, 99.999)  # in percent


def histogram(
    df: pd.DataFrame, x: str | None = None, by: str = "", *, top: int = 6, title: str = ""
) -> Figure:
    """Return how values are spread, on a logarithmic axis; `by` draws one line for each group.

    x: the measured column ("latency_us"), found by itself where there is one. Bins are of equal
    width on the axis; a histogram's buckets are shared out over them.
    """
    df = readings.last(df)
    measure = measured(df, x)
    result, axes = figure.new(df, title or units.label_of(measure.name, measure.unit))
    groups = list(bins.series(df, by, top))
    parts = [bins.buckets(group, measure) for _, group in groups]
    edges = bins.edges(parts, measure)
    for index, ((name, _), part) in enumerate(zip(groups, parts, strict=True)):
        counts = bins.rebinned(*part, edges)
        artists.spread(axes, counts, edges, index, alone=len(groups) == 1, label=name)
    axes.set_xscale("log")
    axes.set_ylim(bottom=0)
    axes.set_ylabel("events")
    axes.set_xlabel(units.label_of(measure.name, measure.unit))
    figure.readable(axes.xaxis, measure.unit)
    figure.readable(axes.yaxis, "")
    if len(groups) == 1:
        _mark_percentiles(axes, df, measure)
    else:
        figure.legend(result)
    return result


def percentiles(
    df: pd.DataFrame, column: str | None = None, by: str = "", *, top: int = 6, title: str = ""
) -> Figure:
    """Return the percentiles as a curve, its bounds as a band; the tail takes half of the axis."""
    df = readings.last(df)
    measure = measured(df, column)
    label = units.label_of(measure.name, measure.unit)
    result, axes = figure.new(df, title or f"Percentiles of {label}")
    groups = list(bins.series(df, by, top))
    draw_curves(axes, groups, measure)
    if by:
        figure.legend(result)
    return result


def draw_curves(axes: Axes, groups: Iterable[tuple[str, pd.DataFrame]], measure: Measure) -> None:
    """Draw a curve of percentiles for each named table, its bounds as a band."""
    for index, (name, group) in enumerate(groups):
        count = int(group["count"].sum()) if measure.is_histogram else len(group)
        wanted = [q for q in _CURVE if count * (1 - q / 100) >= 1]
        found = analysis.percentiles(group, measure.name, q=wanted)
        value, low, high = (found[name].to_numpy() for name in found.columns[-3:])
        at, colour = _nines(found["q"].to_numpy()), PALETTE[index]
        axes.fill_between(at, low, np.where(np.isinf(high), value, high), color=colour, alpha=0.25)
        artists.line(axes, at, value, index, marker="o", label=name)
    axes.set_yscale("log" if _all_positive(axes) else "linear")
    axes.set_xticks(_nines(np.array([0, 50, 90, 99, 99.9, 99.99, 99.999])))
    axes.set_xticklabels(["0", "50", "90", "99", "99.9", "99.99", "99.999"])
    axes.set_xlim(right=max(2.1, axes.dataLim.x1 + 0.1))
    axes.set_xlabel("percentile")
    axes.set_ylabel(units.label_of(measure.name, measure.unit))
    figure.readable(axes.yaxis, measure.unit)


def heatmap(df: pd.DataFrame, x: str = "time", y: str | None = None, *, title: str = "") -> Figure:
    """Return where values lie over time: time to the right, values up, events as colour.

    For single events, or for readings of a histogram over time (with a "time" column).
    """
    df = readings.increments(df)
    measure = measured(df, y)
    times = _times(df, x)
    result, axes = figure.new(df, title or f"{units.label_of(measure.name, measure.unit)} by time")
    low, high, count = bins.buckets(df, measure)
    if len(low):
        _draw_cells(result, axes, (bins.seconds(times, times), low, high, count), measure)
    _time_axis(axes, times)
    axes.set_ylabel(units.label_of(measure.name, measure.unit))
    axes.grid(visible=False)
    return result


def bars(
    df: pd.DataFrame,
    x: str | None = None,
    value: str | None = None,
    *,
    top: int = 20,
    title: str = "",
) -> Figure:
    """Return the largest groups of `x` as bars, what the others come to in words.

    value: the column that is added up; without, "count", else the number of rows.
    """
    table = top_of(df, top, by=x or None, value=value or None)
    name, keys = str(table.columns[-2]), list(table.columns[:-2])
    unit = units.unit_of(name)
    label, write = units.label_of(name, unit), units.text_in(unit)
    heading = title or f"{label} by {' and '.join(keys)}"
    result, axes = figure.new(df, heading, height=1.7 + 0.3 * max(3, min(top, len(table))))
    if len(table) > top:
        rest = table.iloc[-1]
        note = f"and {write(rest[name])} ({rest['share']:.0%}) in others"
        axes.set_title(note, loc="left", fontsize=12, color=INK)
        table = table.iloc[:-1]
    values = table[name].to_numpy(np.float64)
    drawn = artists.bars(axes, values)
    axes.set_ylim(max(3, len(values)) - 0.4, -0.6)  # few bars are not thick ones
    axes.bar_label(drawn, [write(each) for each in values], padding=4, fontsize=11)
    labels = [figure.shortened(_joined(row)) for row in table[keys].to_numpy()]
    axes.set_yticks(np.arange(len(table)), labels)
    axes.set_xlim(0, max(values, default=1) * 1.15 or 1)
    axes.set_xlabel(label if value else "events")
    figure.readable(axes.xaxis, unit)
    return result


def timeseries(
    df: pd.DataFrame,
    x: str = "time",
    y: str | None = None,
    by: str = "",
    *,
    value: str | None = None,
    top: int = 6,
    title: str = "",
) -> Figure:
    """Return events a second over time or, with `y`, the median of a column in each moment.

    value: a column that is added up in each moment instead.

    The line goes straight over moments in which nothing was measured. Of a table that was read at
    intervals it shows what each added a second, of "count" or of a column that grows.
    """
    times = _times(df, x)
    y = y or value
    amount = plot_readings.amount_of(df, y)
    if amount is not None and len(df):
        result = plot_readings.timeseries(df, amount, by, top, title)
        _time_axis(result.axes[0], readings.begins(times, df))
        return result
    measure = measured(df, y) if y else Measure("events a second", "", "", "")
    label = units.label_of(measure.name, measure.unit)
    result, axes = figure.new(df, title or f"{label} over time")
    last = float(bins.seconds(times, times).max()) if len(df) else 0.0
    edges = np.linspace(0, max(last, 1e-6), _TIME_BINS + 1)
    for index, (name, group) in enumerate(bins.series(df, by, top)):
        if value:
            group = group.groupby(x, as_index=False)[[value]].sum()
        values = bins.over_time(group, bins.seconds(group[x], times), y, edges)
        known = ~np.isnan(values)
        middle = (edges[:-1] + edges[1:]) / 2
        point = "o" if known.sum() < _TIME_BINS / 2 else ""
        artists.line(axes, middle[known], values[known], index, label=name, marker=point)
    _time_axis(axes, times)
    axes.set_ylim(bottom=0)
    axes.set_ylabel(label)
    figure.readable(axes.yaxis, measure.unit)
    if by:
        figure.legend(result)
    return result


def flamegraph(df: pd.DataFrame, value: str = "count", *, title: str = "") -> Figure:
    """Return the flame graph of a table with stacks."""
    return flames.draw(df, value, title or "Stacks")


# --- the default picture -------------------------------------------------------------------------


def default(df: pd.DataFrame, kind: str | None = None, *, title: str = "") -> Figure:
    """Return the picture that fits a table, or its picture of that kind; `title` is set above it.

    It is the first that the probe's description proposes for this table, and that the columns
    allow; without a description the columns decide. Raises AnalysisError where nothing fits.
    """
    if kind is not None and kind not in _DRAWN:
        raise AnalysisError(
            f"there is no plot {kind!r}", hint=f"there are: {', '.join(_DRAWN)}", column=None
        )
    for plot in [*_proposed(df), *_by_shape(df)]:
        if kind in (None, plot.kind) and _has_columns(df, plot):
            return draw(df, dataclasses.replace(plot, title=title or plot.title))
    return draw(df, Plot(kind or "bars", title=title))


def named(df: pd.DataFrame, kind: str | None, options: Mapping[str, Any]) -> Figure:
    """Return the plot of that kind with its own options; the default one may have a title alone.

    Raises AnalysisError for unknown ones.
    """
    if kind is None and set(options) == {"title"}:
        return default(df, title=options["title"])
    functions: dict[str, Callable[..., Figure]] = {
        each.__name__: each
        for each in (histogram, percentiles, heatmap, bars, timeseries, flamegraph)
    }
    if kind not in functions:
        said = "which plot are the options for?" if kind is None else f"there is no plot {kind!r}"
        raise AnalysisError(said, hint=f"there are: {', '.join(functions)}", column=None)
    known = [name for name in inspect.signature(functions[kind]).parameters if name != "df"]
    for option in options:
        if option not in known:
            raise AnalysisError(
                f"{kind} has no option {option!r}", hint=f"it has: {', '.join(known)}", column=None
            )
    return functions[kind](df, **options)


def draw(df: pd.DataFrame, plot: Plot) -> Figure:
    """Return the picture that a probe's description asks for."""
    by = plot.by if plot.by in df.columns else ""
    return _DRAWN[plot.kind](df, dataclasses.replace(plot, by=by))


_DRAWN: dict[str, Callable[[pd.DataFrame, Plot], Figure]] = {
    "histogram": lambda df, p: histogram(df, p.x or None, p.by, top=p.top, title=p.title),
    "percentiles": lambda df, p: percentiles(df, p.x or None, p.by, top=p.top, title=p.title),
    "heatmap": lambda df, p: heatmap(df, p.x or "time", p.y or None, title=p.title),
    "bars": lambda df, p: bars(df, p.x or None, p.value or None, top=p.top, title=p.title),
    "timeseries": lambda df, p: timeseries(
        df, p.x or "time", p.y or None, p.by, value=p.value or None, top=p.top, title=p.title
    ),
    "flamegraph": lambda df, p: flamegraph(df, p.value or "count", title=p.title),
}


def _proposed(df: pd.DataFrame) -> list[Plot]:
    receipt = receipt_of(df)
    if "plots" in receipt:
        plots = [each if isinstance(each, Plot) else Plot(**each) for each in receipt["plots"]]
    else:
        try:
            plots = list(catalogue.find(str(receipt.get("probe"))).plots)
        except ProbeNotFoundError:
            return []
    table = receipt.get("table", "")
    return [p for p in plots if p.kind in _DRAWN and (not p.table or p.table == table)]


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


# --- parts ---------------------------------------------------------------------------------------


def _mark_percentiles(axes: Axes, df: pd.DataFrame, measure: Measure) -> None:
    """Draw p50, p90 and p99 as lines, their values above; nothing where too much was lost."""
    try:
        found = analysis.percentiles(df, measure.name)
    except AnalysisError:
        return
    write, parts = units.text_in(measure.unit), []
    for index, (_, row) in enumerate(found.iterrows()):
        artists.mark(axes, row.iloc[-3], index)
        parts.append(f"p{row['q']:g} {write(row.iloc[-3])}")
    axes.set_title("     ".join(parts), loc="left", fontsize=12, color=PALETTE[1])


def _nines(q: Any) -> Numbers:
    """Return a percentile's place: 90, 99, 99.9 at equal distances."""
    return -np.log10(1 - np.asarray(q, np.float64) / 100)


def _all_positive(axes: Axes) -> bool:
    return axes.dataLim.y0 > 0 and math.isfinite(axes.dataLim.y1)


def _times(df: pd.DataFrame, x: str) -> pd.Series[Any]:
    if x not in df.columns:
        raise unknown_column(df, x)
    if not types.is_datetime64_any_dtype(df[x]):
        raise AnalysisError(f"{x} holds no times", hint="a plot over time needs some", column=x)
    return df[x]


def _draw_cells(
    result: Figure,
    axes: Axes,
    cells: tuple[Numbers, Numbers, Numbers, Numbers],
    measure: Measure,
) -> None:
    times, low, high, count = cells
    edges = bins.edges([(low, high, count)], measure)
    columns = bins.columns(times, _TIME_BINS, in_moments=measure.is_histogram)
    middle = np.clip(
        np.sqrt(np.maximum(low, edges[0]) * np.maximum(high, edges[0])), *edges[[0, -1]]
    )
    grid, _, _ = np.histogram2d(times, middle, bins=(columns, edges), weights=count)
    masked = np.ma.masked_equal(grid.T, 0)
    mesh = axes.pcolormesh(
        columns, edges, masked, cmap="cividis_r", norm=LogNorm(1, max(2.0, float(grid.max())))
    )
    bar = result.colorbar(mesh, ax=axes, label="events", pad=0.01, aspect=30)
    figure.readable(bar.ax.yaxis, "")
    axes.set_yscale("log")
    figure.readable(axes.yaxis, measure.unit)


def _time_axis(axes: Axes, times: pd.Series[Any]) -> None:
    since = f" since {times.min():%Y-%m-%d %H:%M:%S} UTC" if len(times) else ""
    axes.set_xlabel(f"time{since}")
    figure.readable(axes.xaxis, "s")


def _joined(row: Mapping[int, Any] | npt.NDArray[Any]) -> str:
    return " ".join("" if pd.isna(item) else str(item) for item in row).strip() or "(none)"
