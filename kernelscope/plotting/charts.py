"""Plots of results: DataFrame in, Figure out. Pyplot's global state is not touched.

Each raises AnalysisError where the table lacks what it needs. `timeseries` and the flame graph have
files of their own; `choose` picks the plot for a table.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import LogNorm
from matplotlib.lines import Line2D

from kernelscope import units
from kernelscope.analysis import percentiles as analysis
from kernelscope.analysis import readings
from kernelscope.analysis.measure import Measure, measured
from kernelscope.analysis.top import top as top_of
from kernelscope.errors import AnalysisError
from kernelscope.plotting import artists, bins, figure
from kernelscope.plotting import flamegraph as flames
from kernelscope.plotting.bins import TIME_BINS, Numbers
from kernelscope.plotting.figure import INK, PALETTE, Figure
from kernelscope.plotting.timeseries import label_time, times_of

_NAME = 44  # characters of a bar's name
_CURVE = (0, 10, 25, 50, 75, 90, 95, 99, 99.5, 99.9, 99.99, 99.999)  # in percent


def histogram(
    df: pd.DataFrame, x: str | None = None, by: str = "", *, top: int = 6, title: str = ""
) -> Figure:
    """Return the distribution of values, on a logarithmic axis; `by` draws a line for each group.

    x: the measured column ("latency_us"); found by itself where there is only one. Bins are of
    equal width on the axis; a histogram's buckets are divided among them.
    """
    df = readings.last(df)
    measure = measured(df, x)
    label = units.label_of(measure.name, measure.unit)
    result, axes = figure.new(df, title or figure.capitalized(label))
    groups = list(bins.series(df, by, top))
    parts = [bins.buckets(group, measure) for _, group in groups]
    edges = bins.edges(parts, measure)
    outlines = [
        artists.spread(axes, bins.rebinned(*part, edges), edges, index, alone=len(groups) == 1)
        for index, part in enumerate(parts)
    ]
    axes.set_xscale("log")
    axes.set_ylim(bottom=0)
    axes.set_ylabel("events")
    figure.label_axis(axes.xaxis, label)
    figure.readable(axes.xaxis, measure.unit)
    figure.readable(axes.yaxis, "")
    if len(groups) == 1:
        _mark_percentiles(axes, df, measure)
    else:
        figure.legend(result, handles=outlines, labels=[name for name, _ in groups])
    return result


def percentiles(
    df: pd.DataFrame, column: str | None = None, by: str = "", *, top: int = 6, title: str = ""
) -> Figure:
    """Return the percentiles as a curve, with its bounds as a band."""
    df = readings.last(df)
    measure = measured(df, column)
    label = units.label_of(measure.name, measure.unit)
    result, axes = figure.new(df, title or f"Percentiles of {label}")
    groups = list(bins.series(df, by, top))
    lines = draw_curves(axes, groups, measure)
    if by:
        figure.legend(result, handles=lines, labels=[name for name, _ in groups])
    return result


def draw_curves(
    axes: Axes, groups: Iterable[tuple[str, pd.DataFrame]], measure: Measure
) -> list[Line2D]:
    """Draw a curve of percentiles for each named table, with its bounds as a band; return them."""
    lines = []
    for index, (name, group) in enumerate(groups):
        count = int(group["count"].sum()) if measure.is_histogram else len(group)
        wanted = [q for q in _CURVE if count * (1 - q / 100) >= 1]
        found = analysis.percentiles(group, measure.name, q=wanted)
        value, low, high = (found[name].to_numpy() for name in found.columns[-3:])
        at, colour = _nines(found["q"].to_numpy()), PALETTE[index]
        axes.fill_between(at, low, np.where(np.isinf(high), value, high), color=colour, alpha=0.25)
        lines.append(artists.line(axes, at, value, index, marker="o", label=name))
    axes.set_yscale("log" if _all_positive(axes) else "linear")
    axes.set_xticks(_nines(np.array([0, 50, 90, 99, 99.9, 99.99, 99.999])))
    axes.set_xticklabels(["0", "50", "90", "99", "99.9", "99.99", "99.999"])
    axes.set_xlim(right=max(2.1, axes.dataLim.x1 + 0.1))
    axes.set_xlabel("percentile")
    figure.label_axis(axes.yaxis, units.label_of(measure.name, measure.unit))
    figure.readable(axes.yaxis, measure.unit)
    return lines


def heatmap(df: pd.DataFrame, x: str = "time", y: str | None = None, *, title: str = "") -> Figure:
    """Return values over time: time to the right, values up, the number of events as colour.

    For single events, or for a histogram read at intervals (with a "time" column).
    """
    df = readings.increments(df)
    measure = measured(df, y)
    times = times_of(df, x)
    label = units.label_of(measure.name, measure.unit)
    result, axes = figure.new(df, title or f"{figure.capitalized(label)} over time")
    low, high, count = bins.buckets(df, measure)
    if len(low):
        _draw_cells(result, axes, (bins.seconds(times, times), low, high, count), measure)
    label_time(axes, times)
    figure.label_axis(axes.yaxis, label)
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
    """Return the largest groups of `x` as bars; a note gives the sum of all others.

    value: the column that is added up; by default "count", else the number of rows.
    """
    table = top_of(df, top, by=x or None, value=value or None)
    name, keys = str(table.columns[-2]), list(table.columns[:-2])
    unit = units.unit_of(name)
    label, write = units.label_of(name, unit), units.text_in(unit)
    heading = title or f"{figure.capitalized(label)} by {' and '.join(keys)}"
    result, axes = figure.new(df, heading, height=1.7 + 0.3 * max(3, min(top, len(table))))
    if len(table) > top:
        rest = table.iloc[-1]
        note = f"and {write(rest[name])} ({rest['share']:.0%}) in other groups"
        axes.set_title(note, loc="left", fontsize=11, color=INK)
        table = table.iloc[:-1]
    values = table[name].to_numpy(np.float64)
    drawn = artists.bars(axes, values)
    axes.set_ylim(max(3, len(values)) - 0.4, -0.6)  # a few bars stay thin
    axes.bar_label(drawn, [write(each) for each in values], padding=4, fontsize=10)
    labels = [figure.drawable(_joined(row), _NAME) for row in table[keys].to_numpy()]
    axes.set_yticks(np.arange(len(table)), labels, parse_math=False)
    axes.set_xlim(0, max(values, default=1) * 1.15 or 1)
    figure.label_axis(axes.xaxis, label if value else "events")
    figure.readable(axes.xaxis, unit)
    return result


def flamegraph(df: pd.DataFrame, value: str = "count", *, title: str = "") -> Figure:
    """Return the flame graph of a table with stacks."""
    return flames.draw(df, value, title)


# --- parts ---------------------------------------------------------------------------------------


def _mark_percentiles(axes: Axes, df: pd.DataFrame, measure: Measure) -> None:
    """Draw p50, p90 and p99 as lines, with their values above; nothing where too much was lost."""
    try:
        found = analysis.percentiles(df, measure.name)
    except AnalysisError:
        return
    write, parts = units.text_in(measure.unit), []
    for index, (_, row) in enumerate(found.iterrows()):
        artists.mark(axes, row.iloc[-3], index)
        parts.append(f"p{row['q']:g} {write(row.iloc[-3])}")
    axes.set_title("     ".join(parts), loc="left", fontsize=11, color=PALETTE[1])


def _nines(q: Any) -> Numbers:
    """Return a percentile's position on the axis: 90, 99 and 99.9 at equal distances."""
    return -np.log10(1 - np.asarray(q, np.float64) / 100)


def _all_positive(axes: Axes) -> bool:
    return axes.dataLim.y0 > 0 and math.isfinite(axes.dataLim.y1)


def _draw_cells(
    result: Figure,
    axes: Axes,
    cells: tuple[Numbers, Numbers, Numbers, Numbers],
    measure: Measure,
) -> None:
    times, low, high, count = cells
    edges = bins.edges([(low, high, count)], measure)
    columns = bins.columns(times, TIME_BINS, in_moments=measure.is_histogram)
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


def _joined(row: Mapping[int, Any] | npt.NDArray[Any]) -> str:
    return " ".join("" if pd.isna(item) else str(item) for item in row).strip() or "(none)"
