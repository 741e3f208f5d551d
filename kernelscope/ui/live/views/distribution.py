"""Live distribution: how values are spread over the window, with percentiles and their bounds."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

import numpy as np
from matplotlib.artist import Artist

from kernelscope import units
from kernelscope.analysis.percentiles import Numbers
from kernelscope.plotting import artists
from kernelscope.ui.live.counting.aggregate import Aggregate
from kernelscope.ui.live.counting.shape import Grouping, Shape
from kernelscope.ui.live.counting.value_grid import ValueGrid
from kernelscope.ui.live.subject import Subject
from kernelscope.ui.live.views.axes import Ceiling, Span, count_ticks, log_ticks
from kernelscope.ui.live.views.base import NO_EVENTS, PERCENTS, RIGHT, TOP, Picture, grid_of
from kernelscope.ui.live.views.canvas import Label, fitted
from kernelscope.ui.live.views.log_bins import LEAST, LogBins

_MOST_GROUPS = 5


class Distribution(Picture):
    """The values of the window as a histogram, with p50, p90 and p99."""

    plot = "histogram"

    @classmethod
    def fits(cls, shape: Shape) -> bool:
        """Return whether the table measures something."""
        return shape.measure is not None

    @classmethod
    def title(cls, subject: Subject, bar: Grouping | None) -> str:  # noqa: ARG003
        """Return the measure's name."""
        return subject.measure

    @classmethod
    def entry(cls, subject: Subject, bar: Grouping | None) -> str:  # noqa: ARG003
        """Return the entry in the list of views."""
        return f"{subject.measure}: distribution"

    def make(self, aggregate: Aggregate) -> None:
        """Create the artists."""
        self.bins = LogBins(grid_of(aggregate))
        self.span, self.ceiling = Span(least=3), Ceiling()
        empty, edges = np.zeros(1), np.array([0.0, 1.0])
        how: Any = {"animated": True}
        theme = self.theme
        grouped = bool(aggregate.shape.group)
        self.steps = [
            artists.spread(self.axes, empty, edges, i, alone=not grouped, theme=theme, **how)
            for i in range(_MOST_GROUPS if grouped else 1)
        ]
        right = self.canvas.size[0] - RIGHT - 4
        self.keys = [
            Label(right, TOP + 6 + 19 * i, "", theme.palette[i], "ra", back=theme.face)
            for i in range(len(self.steps))
        ]
        self.labels += self.keys
        self.colour = theme.ink if grouped else theme.mark
        self.marks = [artists.mark(self.axes, 0, i, theme=theme, **how) for i in range(3)]
        self.bounds = [
            self.axes.axvspan(0, 0, color=self.colour, alpha=0.25, lw=0, **how) for _ in PERCENTS
        ]
        for mark in self.marks:
            mark.set_color(self.colour)

    def update(self, aggregate: Aggregate, window_s: float, now: float) -> None:
        """Set the artists to the table's current counts."""
        slots = aggregate.window.total(window_s)
        counts = self.bins.counts(slots)
        occupied = self.bins.occupied(counts)
        names, parts = [""], [counts]
        if aggregate.shape.group:
            names, parts = self._grouped(aggregate)
        largest = max((float(part.max()) for part in parts), default=0.0)
        if occupied and self.span.fit(*occupied, now):
            log_ticks(self.axes, "x", self.span, self.unit)
            self.canvas.stale = True
        if self.ceiling.fit(largest, now):
            count_ticks(self.axes, "y", self.ceiling.value)
            self.canvas.stale = True
        for index, step in enumerate(self.steps):
            step.set_visible(index < len(parts))
            if index < len(parts):
                step.set_data(parts[index], self.bins.edges, 0)
            self.keys[index].text = names[index] if index < len(names) else ""
        self._mark(grid_of(aggregate), slots)

    def _grouped(self, aggregate: Aggregate) -> tuple[list[str], list[Numbers]]:
        found: dict[str, Numbers] = {}
        width = len(grid_of(aggregate))
        for key, amount in aggregate.groups.total.items():
            if isinstance(key, tuple):
                found.setdefault(key[0], np.zeros(width))[key[1]] += amount
        largest = sorted(found, key=lambda name: -found[name].sum())[:_MOST_GROUPS]
        parts = [self.bins.counts(found[name]) for name in largest]
        return [fitted(name, 180) for name in largest], parts

    def _mark(self, grid: ValueGrid, slots: Numbers) -> None:
        texts = []
        for index, percent in enumerate(PERCENTS):
            guess, low, high = (float(each[0]) for each in grid.percentile(slots[None, :], percent))
            shown = math.isfinite(guess)
            self.marks[index].set_visible(shown)
            self.bounds[index].set_visible(shown)
            if shown:
                at = [math.log2(max(each, LEAST)) for each in (guess, low, high)]
                self.marks[index].set_xdata([at[0], at[0]])
                self.bounds[index].set_x(at[1])
                self.bounds[index].set_width(at[2] - at[1])
                texts.append(f"p{percent} {units.range_text(low, high, self.unit)}")
        self.note.text = "     ".join(texts) or NO_EVENTS
        self.note.colour = self.colour if texts else self.theme.ink

    @property
    def moving(self) -> Iterable[Artist]:
        """The artists that are drawn in every frame."""
        return [*self.steps, *self.bounds, *self.marks]
