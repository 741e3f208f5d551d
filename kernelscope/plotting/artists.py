"""The artists that static and live pictures share.

Each function creates its artists and returns them; a live picture changes them later with their
`set_` methods. `how` is passed to matplotlib (`animated=True`).
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.container import BarContainer
from matplotlib.lines import Line2D
from matplotlib.patches import StepPatch

from kernelscope.plotting.theme import LIGHT, Theme

LINES = ("-", "--", "-.", ":")
Numbers = npt.NDArray[np.float64]


def spread(
    axes: Axes,
    values: Numbers,
    edges: Numbers,
    index: int = 0,
    *,
    alone: bool = True,
    theme: Theme = LIGHT,
    **how: Any,
) -> StepPatch:
    """Draw a distribution: filled if it is the only one, else as one of several outlines."""
    return axes.stairs(
        values,
        edges,
        fill=alone,
        color=theme.palette[index],
        ls="-" if alone else LINES[index % len(LINES)],
        lw=2.2,
        **how,
    )


def line(
    axes: Axes, x: Numbers, y: Numbers, index: int = 0, *, theme: Theme = LIGHT, **how: Any
) -> Line2D:
    """Draw one of several lines over time or over percentiles."""
    how = {"lw": 2, "ls": LINES[index % len(LINES)], **how}
    (made,) = axes.plot(x, y, color=theme.palette[index], **how)
    return made


def mark(axes: Axes, at: float, index: int, *, theme: Theme = LIGHT, **how: Any) -> Line2D:
    """Draw a percentile as a vertical line; the dash tells p50, p90 and p99 apart."""
    return axes.axvline(at, color=theme.mark, ls=LINES[1:][index % 3], lw=1.6, **how)


def bars(axes: Axes, values: Numbers, *, theme: Theme = LIGHT, **how: Any) -> BarContainer:
    """Draw horizontal bars, the first at the top."""
    made = axes.barh(np.arange(len(values)), values, color=theme.palette[0], height=0.72, **how)
    if not axes.yaxis_inverted():
        axes.invert_yaxis()
    axes.grid(visible=False, axis="y")
    axes.tick_params(axis="y", length=0)
    return made


def shades(counts: Numbers, largest: float, theme: Theme = LIGHT) -> npt.NDArray[np.uint8]:
    """Return counts as colours on a logarithmic scale from 1 to `largest`; 0 is transparent."""
    table = (colormaps[theme.cells](np.arange(256)) * 255).astype(np.uint8)
    top = np.log(max(largest, 2.0))
    place = np.log(np.maximum(counts, 1.0)) / top * 255
    result: npt.NDArray[np.uint8] = table[np.clip(place, 0, 255).astype(np.uint8)]
    result[..., 3] = np.where(counts > 0, 255, 0)
    return result
