"""Live throughput: events per second over time."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from matplotlib.artist import Artist

from kernelscope import units
from kernelscope.plotting import artists
from kernelscope.ui.live.counting.aggregate import Aggregate
from kernelscope.ui.live.counting.shape import Grouping, Shape
from kernelscope.ui.live.subject import Subject
from kernelscope.ui.live.views.axes import Ceiling, count_ticks
from kernelscope.ui.live.views.over_time import OverTime

_COLUMNS = 120


class Throughput(OverTime):
    """Events per second."""

    plot = "timeseries"

    @classmethod
    def fits(cls, shape: Shape) -> bool:  # noqa: ARG003
        """Return True: every table has events."""
        return True

    @classmethod
    def title(cls, subject: Subject, bar: Grouping | None) -> str:  # noqa: ARG003
        """Return what the events are, per second."""
        return f"{subject.events} per second"

    @classmethod
    def entry(cls, subject: Subject, bar: Grouping | None) -> str:  # noqa: ARG003
        """Return the entry in the list of views."""
        return f"{subject.events} per second"

    def make(self, aggregate: Aggregate) -> None:  # noqa: ARG002
        """Create the artists."""
        self.ceiling = Ceiling()
        self.step = artists.spread(
            self.axes, np.zeros(1), np.array([0.0, 1.0]), theme=self.theme, animated=True
        )

    def update(self, aggregate: Aggregate, window_s: float, now: float) -> None:
        """Set the artists to the table's current counts."""
        self.show_window(window_s)
        events, _, known = aggregate.window.columns(window_s, _COLUMNS)
        each_s = window_s / len(events)
        whole = known == known.max(initial=1)
        rates = np.where(whole, events / each_s, 0)
        if not whole[-1] and len(events) > 1:  # the newest column is not complete yet
            rates[-1] = rates[-2]
        if self.ceiling.fit(float(rates.max(initial=0)), now):
            count_ticks(self.axes, "y", self.ceiling.value)
            self.canvas.stale = True
        self.step.set_data(rates, np.linspace(-window_s, 0, len(rates) + 1), 0)
        latest = units.count_text(round(float(rates[-1])))
        most = units.count_text(round(float(rates.max(initial=0))))
        self.note.text = f"{latest} per second now, {most} at most"

    @property
    def moving(self) -> Iterable[Artist]:
        """The artists that are drawn in every frame."""
        return [self.step]
