"""The live pictures: how values are spread, where they lie over time, the largest, how many."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any, ClassVar

import numpy as np
from matplotlib.artist import Artist

from kernelscope import units
from kernelscope.plotting import artists, figure
from kernelscope.plotting.theme import LIGHT, Theme
from kernelscope.ui.live.counting.aggregate import Reducer
from kernelscope.ui.live.counting.window import Grid, Numbers
from kernelscope.ui.live.pictures.canvas import (
    Canvas,
    Ceiling,
    Label,
    Span,
    count_ticks,
    fitted,
    log_ticks,
    time_ticks,
)
from kernelscope.ui.live.pictures.log_bins import LEAST, Octaves

PERCENTS = (50, 90, 99)
LEFT, RIGHT, TOP, BOTTOM = 76, 18, 52, 32  # margins in pixels, alike in all: stacked, times align
SIZE = (600, 300)
_EDGE, _NOTE = 12, 29  # where the line below the title begins


class Picture:
    """One view of one table. `update` moves its artists; `png` gives what they then look like."""

    margins: ClassVar[tuple[int, int, int, int]] = (LEFT, BOTTOM, RIGHT, TOP)

    def __init__(
        self,
        reducer: Reducer,
        title: str,
        *,
        label: str = "",
        size: tuple[int, int] = SIZE,
        theme: Theme = LIGHT,
        top: int = 12,
    ) -> None:
        self.theme = theme
        self.canvas = Canvas(size, theme)
        self.axes = self.canvas.axes(*self.margins)
        self.top = top
        self.label = label
        measure = reducer.shape.measure
        self.unit = measure.unit if measure else ""
        self._window_s = 0.0
        width, height = size
        say: Any = {"fontsize": 12, "fontweight": "bold", "color": theme.ink, "va": "top"}
        self.canvas.figure.text(_EDGE / width, 1 - 8 / height, title, **say)
        self.note = Label(_EDGE, _NOTE, colour=theme.ink)
        self.labels = [self.note]
        self.make(reducer)

    def make(self, reducer: Reducer) -> None:
        """Make the artists."""

    def update(self, reducer: Reducer, window_s: float, now: float) -> None:
        """Move the artists to what the table has now; `now` is in seconds of any clock."""
        raise NotImplementedError

    @property
    def moving(self) -> Iterable[Artist]:
        """The artists that are drawn each time."""
        raise NotImplementedError

    def png(self) -> bytes:
        """Draw, and return the picture."""
        self.canvas.draw(self.moving)
        return self.canvas.png(self.labels)

    def _over_time(self, window_s: float) -> None:
        if window_s != self._window_s:
            self._window_s = window_s
            time_ticks(self.axes, window_s)
            self.canvas.stale = True


def _grid(reducer: Reducer) -> Grid:
    if reducer.grid is None:
        raise TypeError(f"{reducer.shape.table} measures nothing")
    return reducer.grid


class Distribution(Picture):
    """How values are spread over the window, with p50, p90, p99 and their bounds."""

    _GROUPS = 5

    def make(self, reducer: Reducer) -> None:
        """Make the artists."""
        self.octaves = Octaves(_grid(reducer))
        self.span, self.ceiling = Span(least=3), Ceiling()
        empty, edges = np.zeros(1), np.array([0.0, 1.0])
        how: Any = {"animated": True}
        theme = self.theme
        grouped = bool(reducer.shape.group)
        self.steps = [
            artists.spread(self.axes, empty, edges, i, alone=not grouped, theme=theme, **how)
            for i in range(self._GROUPS if grouped else 1)
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

    def update(self, reducer: Reducer, window_s: float, now: float) -> None:
        """Move the artists to what the table has now."""
        slots = reducer.window.total(window_s)
        counts = self.octaves.counts(slots)
        occupied = self.octaves.occupied(counts)
        names, parts = [""], [counts]
        if reducer.shape.group:
            names, parts = self._grouped(reducer)
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
                step.set_data(parts[index], self.octaves.edges, 0)
            self.keys[index].text = names[index] if index < len(names) else ""
        self._mark(_grid(reducer), slots)

    def _grouped(self, reducer: Reducer) -> tuple[list[str], list[Numbers]]:
        found: dict[str, Numbers] = {}
        width = len(_grid(reducer))
        for key, amount in reducer.groups.total.items():
            if isinstance(key, tuple):
                found.setdefault(key[0], np.zeros(width))[key[1]] += amount
        largest = sorted(found, key=lambda name: -found[name].sum())[: self._GROUPS]
        parts = [self.octaves.counts(found[name]) for name in largest]
        return [fitted(name, 180) for name in largest], parts

    def _mark(self, grid: Grid, slots: Numbers) -> None:
        said = []
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
                said.append(f"p{percent} {figure.range_text(low, high, self.unit)}")
        self.note.text = "     ".join(said) or "nothing yet"
        self.note.colour = self.colour if said else self.theme.ink

    @property
    def moving(self) -> Iterable[Artist]:
        """The artists that are drawn each time."""
        return [*self.steps, *self.bounds, *self.marks]


class Heatmap(Picture):
    """Where values lie over time; how many in a cell as colour."""

    _COLUMNS = 120

    def make(self, reducer: Reducer) -> None:
        """Make the artists."""
        self.octaves = Octaves(_grid(reducer))
        self.span, self.ceiling = Span(least=3), Ceiling()
        blank = np.zeros((1, 1, 4), np.uint8)
        how: Any = {"aspect": "auto", "origin": "lower", "interpolation": "nearest"}
        self.image = self.axes.imshow(blank, extent=(-1, 0, 0, 1), animated=True, **how)
        self.axes.grid(visible=False)
        self.key = self.canvas.figure.add_axes((0.76, 0.93, 0.12, 0.03))
        ramp = artists.shades(np.logspace(0, 3, 64)[None, :], 1000, self.theme)
        self.key.imshow(ramp, aspect="auto", extent=(0, 1, 0, 1))
        self.key.set_axis_off()
        say: Any = {"transform": self.key.transAxes, "fontsize": 10, "va": "center"}
        self.key.text(-0.08, 0.5, "1", ha="right", color=self.theme.ink, **say)
        self.most = self.key.text(1.08, 0.5, "", ha="left", color=self.theme.ink, **say)

    def update(self, reducer: Reducer, window_s: float, now: float) -> None:
        """Move the artists to what the table has now."""
        self._over_time(window_s)
        _, slots, _ = reducer.window.columns(window_s, self._COLUMNS)
        cells = self.octaves.counts(slots)
        occupied = self.octaves.occupied(cells.sum(axis=0))
        if occupied and self.span.fit(*occupied, now):
            log_ticks(self.axes, "y", self.span, self.unit)
            self.canvas.stale = True
        if self.ceiling.fit(max(2.0, float(cells.max(initial=0))), now):
            self.most.set_text(figure.count_text(self.ceiling.value))
            self.canvas.stale = True
        edges = self.octaves.edges
        rows = (edges[:-1] >= self.span.low) & (edges[1:] <= self.span.high)
        shown = cells[:, rows].T if rows.any() else np.zeros((1, 1))
        self.image.set_data(artists.shades(np.rint(shown + 0.49), self.ceiling.value, self.theme))
        high = max(self.span.high, self.span.low + 1)
        self.image.set_extent((-window_s, 0, self.span.low, high))
        events = float(slots.sum())
        self.note.text = f"{figure.count_text(round(events))} events in the window"

    @property
    def moving(self) -> Iterable[Artist]:
        """The artists that are drawn each time."""
        return [self.image]


class Percentiles(Picture):
    """p50, p90 and p99 over time; a band shows between which bounds each lies."""

    _COLUMNS = 60

    def make(self, reducer: Reducer) -> None:  # noqa: ARG002
        """Make the artists."""
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
        apart = (self.canvas.size[0] - 2 * _EDGE) // len(PERCENTS)
        self.names = [
            Label(_EDGE + apart * i, _NOTE, colour=self.theme.palette[i])
            for i in range(len(PERCENTS))
        ]
        self.labels += self.names

    def update(self, reducer: Reducer, window_s: float, now: float) -> None:
        """Move the artists to what the table has now."""
        self._over_time(window_s)
        _, slots, _ = reducer.window.columns(window_s, self._COLUMNS)
        columns = len(slots)
        edges = np.linspace(-window_s, 0, columns + 1)
        found = [_grid(reducer).percentile(slots, percent) for percent in PERCENTS]
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
        """Say the latest of each, in its colour."""
        for index, (label, (guess, low, high)) in enumerate(zip(self.names, found, strict=True)):
            there = np.flatnonzero(np.isfinite(guess))
            last = there[-1] if len(there) else None
            said = "" if last is None else figure.range_text(low[last], high[last], self.unit)
            label.text = f"p{PERCENTS[index]} {said}"

    @property
    def moving(self) -> Iterable[Artist]:
        """The artists that are drawn each time."""
        return [*self.bands, *self.lines]


class Throughput(Picture):
    """Events a second over time."""

    _COLUMNS = 120

    def make(self, reducer: Reducer) -> None:  # noqa: ARG002
        """Make the artists."""
        self.ceiling = Ceiling()
        self.step = artists.spread(
            self.axes, np.zeros(1), np.array([0.0, 1.0]), theme=self.theme, animated=True
        )

    def update(self, reducer: Reducer, window_s: float, now: float) -> None:
        """Move the artists to what the table has now."""
        self._over_time(window_s)
        events, _, known = reducer.window.columns(window_s, self._COLUMNS)
        each_s = window_s / len(events)
        whole = known == known.max(initial=1)
        rates = np.where(whole, events / each_s, 0)
        if not whole[-1] and len(events) > 1:  # it has only begun
            rates[-1] = rates[-2]
        if self.ceiling.fit(float(rates.max(initial=0)), now):
            count_ticks(self.axes, "y", self.ceiling.value)
            self.canvas.stale = True
        self.step.set_data(rates, np.linspace(-window_s, 0, len(rates) + 1), 0)
        latest = figure.count_text(round(float(rates[-1])))
        most = figure.count_text(round(float(rates.max(initial=0))))
        self.note.text = f"now {latest} a second, at most {most}"

    @property
    def moving(self) -> Iterable[Artist]:
        """The artists that are drawn each time."""
        return [self.step]


class Bars(Picture):
    """The largest groups of the window."""

    margins = (210, 12, 70, TOP)

    def make(self, reducer: Reducer) -> None:
        """Make the artists."""
        value = reducer.shape.value or reducer.shape.amount or "events"
        self.unit = units.unit_of(value)
        room = (self.canvas.size[1] - TOP - self.margins[1]) // 20
        self.shown = max(1, min(self.top, room))
        self.ceiling = Ceiling()
        self.rects = list(
            artists.bars(self.axes, np.zeros(self.shown), theme=self.theme, animated=True)
        )
        self.axes.set_ylim(self.shown - 0.5, -0.5)
        self.axes.set_yticks([])
        self.axes.set_xticks([])
        self.axes.spines["bottom"].set_visible(False)
        left, bottom, _, top = self.margins
        row = (self.canvas.size[1] - top - bottom) / self.shown
        middles = [top + row * (i + 0.5) for i in range(self.shown)]
        ink = self.theme.ink
        self.names = [Label(left - 8, y, colour=ink, anchor="rm") for y in middles]
        self.amounts = [Label(left, y, colour=ink, anchor="lm") for y in middles]
        self.labels += [*self.names, *self.amounts]

    def update(self, reducer: Reducer, window_s: float, now: float) -> None:  # noqa: ARG002
        """Move the artists to what the table has now."""
        largest, others = reducer.tops[self.label].largest(self.shown)
        if self.ceiling.fit(max((amount for _, amount in largest), default=0), now):
            self.axes.set_xlim(0, self.ceiling.value)
            self.canvas.stale = True
        write = figure.text_in(self.unit)
        left, _, right, _ = self.margins
        width = self.canvas.size[0] - left - right
        for index in range(self.shown):
            name, amount = largest[index] if index < len(largest) else ("", 0.0)
            self.rects[index].set_width(amount)
            self.names[index].text = fitted(str(name), left - 18) if amount else ""
            self.amounts[index].text = write(round(amount)) if amount else ""
            self.amounts[index].x = left + 6 + amount / self.ceiling.value * width
        whole = others + sum(amount for _, amount in largest)
        rest = f", {write(round(others))} of them in others" if others >= 1 else ""
        of = reducer.shape.value or reducer.shape.amount
        what = "events" if of in ("", "count") else figure.label_of(of, self.unit)
        said = f"{write(round(whole))} {what} in the window{rest}"
        self.note.text = said if whole else "nothing yet"

    @property
    def moving(self) -> Iterable[Artist]:
        """The artists that are drawn each time."""
        return self.rects


PICTURES: dict[str, type[Picture]] = {
    "distribution": Distribution,
    "heatmap": Heatmap,
    "percentiles": Percentiles,
    "throughput": Throughput,
    "bars": Bars,
}
