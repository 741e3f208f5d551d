"""The picture of a comparison: both captures' percentiles, and each change with its interval."""

from __future__ import annotations

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator, PercentFormatter

from kernelscope.analysis.measure import Measure
from kernelscope.plotting import charts, figure
from kernelscope.plotting.figure import GREY, INK, PALETTE, Figure
from kernelscope.plotting.theme import LIGHT

_SPREAD = 1.5  # of an interval's ends shown at most, as a share: the rest is cut off


def draw(
    tables: tuple[pd.DataFrame, pd.DataFrame],
    measure: Measure | None,
    changes: pd.DataFrame,
    title: str,
) -> Figure:
    """Return the picture; of tables that measure nothing, the change of the rate alone.

    changes: as of `kernelscope.comparison.Comparison`.
    """
    before, after = tables
    width = 7.0 if measure is None else 12.0
    result, axes = figure.new(after, title, width=width, height=4.6)
    axes.remove()
    with mpl.rc_context(figure.style(LIGHT)):
        if measure is None:
            _draw_changes(result.add_subplot(), changes)
            return result
        curves, right = result.subplots(1, 2, width_ratios=[3, 2])
    charts.draw_curves(curves, [("before", before), ("after", after)], measure)
    curves.legend(frameon=False, fontsize=11, loc="upper left")
    _draw_changes(right, changes)
    return result


def _draw_changes(axes: Axes, table: pd.DataFrame) -> None:
    """Draw each change as a point on its interval; what is no change is hollow and grey.

    One beyond what is shown is an arrowhead at the edge.
    """
    change = table["change"].to_numpy(np.float64)
    ends = [table[name].to_numpy(np.float64) for name in ("low", "high")]
    low, high = (np.clip(np.nan_to_num(each), -1, _SPREAD) for each in ends)
    axes.axvline(0, color=INK, lw=1)
    for row, changed in enumerate(table["changed"]):
        colour = PALETTE[1] if changed else GREY
        axes.plot([low[row], high[row]], [row, row], color=colour, lw=3, solid_capstyle="butt")
        face = colour if changed else "white"
        middle = min(max(change[row], -1.0), _SPREAD)
        marker = "o" if change[row] <= _SPREAD else ">"
        axes.plot(middle, row, marker, ms=9, mec=colour, mfc=face, mew=2)
        text = f"{change[row]:+.1%} [{ends[0][row]:+.0%}, {ends[1][row]:+.0%}]"
        box = {"facecolor": LIGHT.face, "edgecolor": "none", "pad": 1}  # hides the line behind it
        axes.annotate(
            text, (middle, row), (0, 10), textcoords="offset points", ha="center", fontsize=11,
            bbox=box,
        )  # fmt: skip
    axes.set_yticks(np.arange(len(table)), table["what"].tolist())
    axes.set_ylim(len(table) - 0.5, -0.7)
    reach = max(0.1, float(np.abs([low, high]).max())) * 1.6
    axes.set_xlim(-reach, reach)
    axes.xaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))
    axes.xaxis.set_major_locator(MaxNLocator(nbins=5, symmetric=True))
    axes.set_xlabel("change; filled: called a change")
