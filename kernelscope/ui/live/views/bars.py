"""Live bars: the largest groups of the window."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from matplotlib.artist import Artist

from kernelscope import units
from kernelscope.plotting import artists
from kernelscope.ui.live.counting.aggregate import Aggregate
from kernelscope.ui.live.counting.shape import Grouping, Shape
from kernelscope.ui.live.subject import Subject
from kernelscope.ui.live.views.axes import Ceiling
from kernelscope.ui.live.views.base import NO_EVENTS, TOP, Picture
from kernelscope.ui.live.views.canvas import Label, fitted

_ROW_PIXELS = 20


class Bars(Picture):
    """One bar for each of the largest groups, with its name and its amount."""

    plot = "bars"
    margins = (210, 12, 70, TOP)

    @classmethod
    def fits(cls, shape: Shape) -> bool:
        """Return whether the table has columns to group by."""
        return bool(shape.bars)

    @classmethod
    def bars_of(cls, shape: Shape) -> tuple[Grouping | None, ...]:
        """Return what the bars can stand for."""
        return shape.bars

    @classmethod
    def title(cls, subject: Subject, bar: Grouping | None) -> str:
        """Return what is added up, and by which column."""
        return subject.amount_by(bar) if bar else subject.events

    @classmethod
    def entry(cls, subject: Subject, bar: Grouping | None) -> str:
        """Return the entry in the list of views."""
        return cls.title(subject, bar)

    def make(self, aggregate: Aggregate) -> None:
        """Create the artists."""
        self.grouping = self.bar or aggregate.shape.bars[0]
        self.unit = units.unit_of(self.grouping.value)
        room = (self.canvas.size[1] - TOP - self.margins[1]) // _ROW_PIXELS
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

    def update(self, aggregate: Aggregate, window_s: float, now: float) -> None:  # noqa: ARG002
        """Set the artists to the table's current counts."""
        largest, others = aggregate.tops[self.grouping].largest(self.shown)
        if self.ceiling.fit(max((amount for _, amount in largest), default=0), now):
            self.axes.set_xlim(0, self.ceiling.value)
            self.canvas.stale = True
        write = units.text_in(self.unit)
        left, _, right, _ = self.margins
        width = self.canvas.size[0] - left - right
        for index in range(self.shown):
            name, amount = largest[index] if index < len(largest) else ("", 0.0)
            self.rects[index].set_width(amount)
            self.names[index].text = fitted(str(name), left - 18) if amount else ""
            self.amounts[index].text = write(round(amount)) if amount else ""
            self.amounts[index].x = left + 6 + amount / self.ceiling.value * width
        whole = others + sum(amount for _, amount in largest)
        self.note.text = self._total(aggregate.shape, whole, others) if whole else NO_EVENTS

    def _total(self, shape: Shape, whole: float, others: float) -> str:
        """Return the sum: "67.2 MiB in the window (size), 20 KiB of it in other groups"."""
        write = units.text_in(self.unit)
        noun = "" if self.unit else f" {shape.noun_of(self.grouping.value)}"
        column = f" ({units.label_of(self.grouping.value, self.unit)})" if self.unit else ""
        pronoun = "it" if self.unit else "them"
        rest = f", {write(round(others))} of {pronoun} in other groups" if others >= 1 else ""
        return f"{write(round(whole))}{noun} in the window{column}{rest}"

    @property
    def moving(self) -> Iterable[Artist]:
        """The artists that are drawn in every frame."""
        return self.rects
