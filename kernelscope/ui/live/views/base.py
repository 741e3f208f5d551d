"""What all live pictures share: size, margins, title, and how they are drawn."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, ClassVar

from matplotlib.artist import Artist

from kernelscope.plotting import figure
from kernelscope.plotting.theme import LIGHT, Theme
from kernelscope.ui.live.counting.aggregate import Aggregate
from kernelscope.ui.live.counting.shape import Grouping, Shape
from kernelscope.ui.live.counting.value_grid import ValueGrid
from kernelscope.ui.live.subject import Subject
from kernelscope.ui.live.views.canvas import Canvas, Label

PERCENTS = (50, 90, 99)
# Margins in pixels. They are the same in all pictures, so that time axes align when stacked.
LEFT, RIGHT, TOP, BOTTOM = 76, 18, 52, 32
SIZE = (600, 300)
EDGE, NOTE = 12, 29  # left edge of the title, and the top of the line below it
NO_EVENTS = "no events yet"


class Picture:
    """One view of one table. `update` moves its artists; `png` returns the picture.

    plot: the kind of plot in a probe's description that this picture shows while it changes.
    """

    plot: ClassVar[str] = ""
    margins: ClassVar[tuple[int, int, int, int]] = (LEFT, BOTTOM, RIGHT, TOP)

    @classmethod
    def fits(cls, shape: Shape) -> bool:
        """Return whether a table has what the picture needs."""
        raise NotImplementedError

    @classmethod
    def bars_of(cls, shape: Shape) -> tuple[Grouping | None, ...]:  # noqa: ARG003
        """Return what the picture's bars can stand for; (None,) where it has no bars."""
        return (None,)

    @classmethod
    def title(cls, subject: Subject, bar: Grouping | None) -> str:
        """Return the title of the picture where the description does not give one."""
        raise NotImplementedError

    @classmethod
    def entry(cls, subject: Subject, bar: Grouping | None) -> str:
        """Return the picture's entry in the list of views."""
        raise NotImplementedError

    def __init__(
        self,
        aggregate: Aggregate,
        title: str,
        *,
        bar: Grouping | None = None,
        size: tuple[int, int] = SIZE,
        theme: Theme = LIGHT,
        top: int = 12,
    ) -> None:
        self.theme = theme
        self.canvas = Canvas(size, theme)
        self.axes = self.canvas.axes(*self.margins)
        self.top = top
        self.bar = bar
        measure = aggregate.shape.measure
        self.unit = measure.unit if measure else ""
        self._window_s = 0.0
        width, height = size
        style: Any = {"fontsize": 12, "fontweight": "bold", "color": theme.ink, "va": "top"}
        place = EDGE / width, 1 - 8 / height
        self.canvas.figure.text(*place, figure.drawable(title), parse_math=False, **style)
        self.note = Label(EDGE, NOTE, colour=theme.ink)
        self.labels = [self.note]
        self.make(aggregate)

    def make(self, aggregate: Aggregate) -> None:
        """Create the artists."""

    def update(self, aggregate: Aggregate, window_s: float, now: float) -> None:
        """Set the artists to the table's current counts; `now` is in seconds of any clock."""
        raise NotImplementedError

    @property
    def moving(self) -> Iterable[Artist]:
        """The artists that are drawn in every frame."""
        raise NotImplementedError

    def png(self) -> bytes:
        """Draw, and return the picture."""
        self.canvas.draw(self.moving)
        return self.canvas.png(self.labels)


def grid_of(aggregate: Aggregate) -> ValueGrid:
    """Return the grid of a table that measures something. Raises TypeError for any other."""
    if aggregate.grid is None:
        raise TypeError(f"{aggregate.shape.table} measures nothing")
    return aggregate.grid
