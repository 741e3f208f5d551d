"""Live heat map: values over time, the number of events as colour."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
from matplotlib.artist import Artist

from kernelscope import units
from kernelscope.plotting import artists
from kernelscope.ui.live.counting.aggregate import Aggregate
from kernelscope.ui.live.counting.shape import Grouping, Shape
from kernelscope.ui.live.subject import Subject
from kernelscope.ui.live.views.axes import Ceiling, Span, log_ticks
from kernelscope.ui.live.views.base import grid_of
from kernelscope.ui.live.views.log_bins import LogBins
from kernelscope.ui.live.views.over_time import OverTime

_COLUMNS = 120


class Heatmap(OverTime):
    """Time to the right, values up, events in a cell as colour."""

    plot = "heatmap"

    @classmethod
    def fits(cls, shape: Shape) -> bool:
        """Return whether the table measures something."""
        return shape.measure is not None

    @classmethod
    def title(cls, subject: Subject, bar: Grouping | None) -> str:  # noqa: ARG003
        """Return the measure's name, over time."""
        return f"{subject.measure} over time"

    @classmethod
    def entry(cls, subject: Subject, bar: Grouping | None) -> str:  # noqa: ARG003
        """Return the entry in the list of views."""
        return f"{subject.measure}: heat map"

    def make(self, aggregate: Aggregate) -> None:
        """Create the artists."""
        self.bins = LogBins(grid_of(aggregate))
        self.span, self.ceiling = Span(least=3), Ceiling()
        blank = np.zeros((1, 1, 4), np.uint8)
        how: Any = {"aspect": "auto", "origin": "lower", "interpolation": "nearest"}
        self.image = self.axes.imshow(blank, extent=(-1, 0, 0, 1), animated=True, **how)
        self.axes.grid(visible=False)
        self.key = self.canvas.figure.add_axes((0.76, 0.93, 0.12, 0.03))
        ramp = artists.shades(np.logspace(0, 3, 64)[None, :], 1000, self.theme)
        self.key.imshow(ramp, aspect="auto", extent=(0, 1, 0, 1))
        self.key.set_axis_off()
        style: Any = {"transform": self.key.transAxes, "fontsize": 10, "va": "center"}
        self.key.text(-0.08, 0.5, "events  1", ha="right", color=self.theme.ink, **style)
        self.most = self.key.text(1.08, 0.5, "", ha="left", color=self.theme.ink, **style)

    def update(self, aggregate: Aggregate, window_s: float, now: float) -> None:
        """Set the artists to the table's current counts."""
        self.show_window(window_s)
        _, slots, _ = aggregate.window.columns(window_s, _COLUMNS)
        cells = self.bins.counts(slots)
        occupied = self.bins.occupied(cells.sum(axis=0))
        if occupied and self.span.fit(*occupied, now):
            log_ticks(self.axes, "y", self.span, self.unit)
            self.canvas.stale = True
        if self.ceiling.fit(max(2.0, float(cells.max(initial=0))), now):
            self.most.set_text(units.count_text(self.ceiling.value))
            self.canvas.stale = True
        edges = self.bins.edges
        rows = (edges[:-1] >= self.span.low) & (edges[1:] <= self.span.high)
        shown = cells[:, rows].T if rows.any() else np.zeros((1, 1))
        self.image.set_data(artists.shades(np.rint(shown + 0.49), self.ceiling.value, self.theme))
        high = max(self.span.high, self.span.low + 1)
        self.image.set_extent((-window_s, 0, self.span.low, high))
        events = float(slots.sum())
        self.note.text = f"{units.count_text(round(events))} events in the window"

    @property
    def moving(self) -> Iterable[Artist]:
        """The artists that are drawn in every frame."""
        return [self.image]
