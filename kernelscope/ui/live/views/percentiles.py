"""Live percentiles: p50, p90 and p99 over time, each with a band between its bounds."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
from matplotlib.artist import Artist

from kernelscope import units
from kernelscope.analysis.percentiles import Numbers
from kernelscope.plotting import artists
from kernelscope.ui.live.counting.aggregate import Aggregate
from kernelscope.ui.live.counting.shape import Grouping, Shape
from kernelscope.ui.live.subject import Subject
from kernelscope.ui.live.views.axes import Span, log_ticks
from kernelscope.ui.live.views.base import EDGE, NOTE, PERCENTS, grid_of
from kernelscope.ui.live.views.canvas import Label
from kernelscope.ui.live.views.log_bins import LEAST
from kernelscope.ui.live.views.over_time import OverTime

_COLUMNS = 60


class Percentiles(OverTime):
    """One line for each percentile."""

    plot = "percentiles"

    @classmethod
    def fits(cls, shape: Shape) -> bool:
        """Return whether the table measures something."""
        return shape.measure is not None

    @classmethod
    def title(cls, subject: Subject, bar: Grouping | None) -> str:  # noqa: ARG003
        """Return the measure's name."""
        return f"{subject.measure}: percentiles over time"

    @classmethod
    def entry(cls, subject: Subject, bar: Grouping | None) -> str:  # noqa: ARG003
        """Return the entry in the list of views."""
        return f"{subject.measure}: percentiles over time"

    def make(self, aggregate: Aggregate) -> None:  # noqa: ARG002
        """Create the artists."""
        self.span = Span(least=3)
        empty = np.zeros(1)
        self.bands = [
            self.axes.stairs(
                empty, [0, 1], baseline=empty, fill=True, alpha=0.35, lw=0, animated=True,
                color=self.theme.palette[index],
            )
            for index in range(len(PERCENTS))
        ]  # fmt: skip
        self.lines = [
            artists.line(self.axes, empty, empty, i, theme=self.theme, ls="-", animated=True)
            for i in range(len(PERCENTS))
        ]
        apart = (self.canvas.size[0] - 2 * EDGE) // len(PERCENTS)
        self.names = [
            Label(EDGE + apart * i, NOTE, colour=self.theme.palette[i])
            for i in range(len(PERCENTS))
        ]
        self.labels += self.names

    def update(self, aggregate: Aggregate, window_s: float, now: float) -> None:
        """Set the artists to the table's current counts."""
        self.show_window(window_s)
        _, slots, _ = aggregate.window.columns(window_s, _COLUMNS)
        columns = len(slots)
        edges = np.linspace(-window_s, 0, columns + 1)
        found = [grid_of(aggregate).percentile(slots, percent) for percent in PERCENTS]
        logs = [[np.log2(np.maximum(each, LEAST)) for each in part] for part in found]
        known = np.concatenate([np.concatenate(part[1:]) for part in logs])
        known = known[np.isfinite(known)]
        if len(known) and self.span.fit(float(known.min()), float(known.max()), now):
            log_ticks(self.axes, "y", self.span, self.unit)
            self.canvas.stale = True
        for line, band, (guess, low, high) in zip(self.lines, self.bands, logs, strict=True):
            line.set_data((edges[:-1] + edges[1:]) / 2, guess)
            bottom: Any = np.nan_to_num(low, nan=0)
            band.set_data(np.nan_to_num(high, nan=0), edges, bottom)
        self._name(found)

    def _name(self, found: list[tuple[Numbers, Numbers, Numbers]]) -> None:
        """Write the latest value of each percentile in its colour."""
        for index, (label, (guess, low, high)) in enumerate(zip(self.names, found, strict=True)):
            there = np.flatnonzero(np.isfinite(guess))
            last = there[-1] if len(there) else None
            text = "" if last is None else units.range_text(low[last], high[last], self.unit)
            label.text = f"p{PERCENTS[index]} {text}"

    @property
    def moving(self) -> Iterable[Artist]:
        """The artists that are drawn in every frame."""
        return [*self.bands, *self.lines]
