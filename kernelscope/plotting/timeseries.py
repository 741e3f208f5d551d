"""Rates over time of tables that were read at intervals: what each reading added, a second.

Maps count from the run's start, so a reading by itself is a sum: its steps are what happened.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from kernelscope import units
from kernelscope.analysis import readings
from kernelscope.analysis import top as groups
from kernelscope.plotting import artists, bins, figure
from kernelscope.plotting.figure import Figure

Numbers = npt.NDArray[np.float64]
_SHORT = 0.2  # of an interval: the last reading, when the run ends, may follow another at once


def amount_of(df: pd.DataFrame, y: str | None) -> str | None:
    """Return the column whose steps `timeseries` shows; None where the table holds no readings.

    y: a column that grows; without, "count".
    """
    name = y or "count"
    return name if readings.growing(df).get(name) == "sum" and name in df.columns else None


def timeseries(df: pd.DataFrame, amount: str, by: str, top: int, title: str) -> Figure:
    """Return how much a second was added, of the largest groups and of all others together."""
    unit = units.unit_of(amount)
    label = "events" if amount == "count" else units.label_of(amount, unit)
    result, axes = figure.new(df, title or f"{label} a second over time")
    steps = readings.increments(df)
    edges = _edges(df)
    for index, (name, group) in enumerate(_groups(steps, amount, by, top)):
        at = bins.seconds(group["time"], df["time"]) - _first(df)
        place = np.clip(np.searchsorted(edges, at + 1e-6, "right") - 1, 0, len(edges) - 2)
        sums = np.bincount(place, group[amount].to_numpy(np.float64), len(edges) - 1)
        middle = (edges[:-1] + edges[1:]) / 2
        point = "o" if len(middle) < 50 else ""
        artists.line(axes, middle, sums / np.diff(edges), index, label=name, marker=point)
    axes.set_xlim(0, edges[-1])
    axes.set_ylim(bottom=0)
    axes.set_ylabel(f"{label} a second")
    figure.readable(axes.yaxis, unit)
    if by:
        figure.legend(result)
    return result


def _groups(
    steps: pd.DataFrame, amount: str, by: str, top: int
) -> Iterator[tuple[str, pd.DataFrame]]:
    if not by:
        yield "events", steps
        return
    found = groups.top(steps, top, by=by, value=amount)
    names = [str(name) for name in found[by].tolist()][:top]
    texts = steps[by].astype("str")
    for name in names:
        yield figure.shortened(name, 24), steps[texts == name]
    others = steps[~texts.isin(names)]
    if len(others):
        yield "others", others


def _first(df: pd.DataFrame) -> float:
    """Return when the first interval began, in seconds from the first reading: 0 or below."""
    begins = readings.begins(df["time"], df)
    return float((begins.min() - df["time"].min()).total_seconds())


def _edges(df: pd.DataFrame) -> Numbers:
    """Return the ends of the intervals, in seconds since the first began."""
    times: Any = df["time"].drop_duplicates().sort_values()
    edges: Numbers = np.concatenate([[0.0], bins.seconds(times, times) - _first(df)])
    lengths = np.diff(edges)
    if len(lengths) > 1 and lengths[-1] < _SHORT * np.median(lengths):
        edges = np.delete(edges, -2)
    return edges
