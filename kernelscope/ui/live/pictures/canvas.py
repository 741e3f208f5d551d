"""A picture whose ground is drawn once and whose artists move over it.

Drawing a whole figure of matplotlib takes some 20 ms, putting a few artists over its kept ground
less than one. The ground is drawn again only when an axis changed. Text that changes is put over
the finished pixels: matplotlib takes a millisecond for a word.
"""

from __future__ import annotations

import io
import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import matplotlib as mpl
import matplotlib.figure
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.ticker import FuncFormatter
from PIL import Image, ImageDraw, ImageFont

from kernelscope.plotting import figure
from kernelscope.plotting.theme import Theme

DPI = 100
_TICK_POINTS = 10
_TICK_PIXELS = 84  # that a time's label takes
_SHRINK_AFTER_S = 4.0


@dataclass
class Label:
    """A text that changes, at a place in pixels from the left and the top.

    anchor: as Pillow has it: "l", "m" or "r", then "a" (top), "m" (middle) or "s" (line).
    back: a colour behind it, where it stands over lines.
    """

    x: float
    y: float
    text: str = ""
    colour: str = "#000000"
    anchor: str = "la"
    points: float = _TICK_POINTS
    back: str = ""


@cache
def _font(points: float) -> ImageFont.FreeTypeFont:
    path = Path(mpl.get_data_path(), "fonts", "ttf", "DejaVuSans.ttf")
    return ImageFont.truetype(str(path), points * DPI / 72)


def fitted(text: str, pixels: float, points: float = _TICK_POINTS) -> str:
    """Return the text, its middle left out where it takes more than that many pixels."""
    font, limit = _font(points), len(text)
    while font.getlength(text) > pixels and limit > 4:
        limit -= 1
        text = figure.shortened(text, limit)
    return text


class Canvas:
    """A figure of `size` pixels. `stale` says that its ground must be drawn anew."""

    def __init__(self, size: tuple[int, int], theme: Theme) -> None:
        self.size = size
        self.theme = theme
        self.stale = True
        width, height = size
        made = matplotlib.figure.Figure(figsize=(width / DPI, height / DPI), dpi=DPI)
        made.set_facecolor(theme.face)
        self.figure = made
        self._agg: Any = FigureCanvasAgg(made)
        self._ground: Any = None

    def axes(self, left: int, bottom: int, right: int, top: int) -> Axes:
        """Return axes with these margins in pixels."""
        width, height = self.size
        made = self.figure.add_axes(
            (
                left / width,
                bottom / height,
                (width - left - right) / width,
                (height - bottom - top) / height,
            )
        )
        theme = self.theme
        made.set_facecolor(theme.face)
        made.spines[["top", "right"]].set_visible(False)
        made.spines[["left", "bottom"]].set_color(theme.muted)
        made.tick_params(colors=theme.ink, labelsize=_TICK_POINTS, which="both")
        made.grid(color=theme.grid)
        made.set_axisbelow(True)
        made.xaxis.label.set(color=theme.ink, size=_TICK_POINTS)
        made.yaxis.label.set(color=theme.ink, size=_TICK_POINTS)
        return made

    def draw(self, moving: Iterable[Artist]) -> None:
        """Draw the ground where it is stale, and the artists over it."""
        if self.stale or self._ground is None:
            self._agg.draw()
            self._ground = self._agg.copy_from_bbox(self.figure.bbox)
            self.stale = False
        self._agg.restore_region(self._ground)
        renderer = self._agg.get_renderer()
        for artist in moving:
            artist.draw(renderer)

    def png(self, labels: Iterable[Label] = ()) -> bytes:
        """Return what was drawn last with these texts, packed fast rather than small."""
        buffer = io.BytesIO()
        pixels = self._agg.buffer_rgba()
        image = Image.frombuffer("RGBA", self.size, pixels, "raw", "RGBA", 0, 1).convert("RGB")
        pen = ImageDraw.Draw(image)
        for label in labels:
            if label.text:
                place = (label.x, label.y)
                font = _font(label.points)
                if label.back:
                    box = pen.textbbox(place, label.text, font=font, anchor=label.anchor)
                    pen.rectangle(box, fill=label.back)
                pen.text(place, label.text, fill=label.colour, font=font, anchor=label.anchor)
        image.save(buffer, "png", compress_level=1)
        return buffer.getvalue()


class Span:
    """An axis's limits in whole steps: they grow at once and shrink when that was long possible."""

    def __init__(self, step: float = 1.0, least: float = 1.0) -> None:
        self.low = self.high = 0.0
        self._step = step
        self._least = least
        self._roomy_since: float | None = None
        self._set = False

    def fit(self, low: float, high: float, now: float) -> bool:
        """Take in [low, high] at a time in seconds; return whether the limits changed."""
        first = math.floor(low / self._step) * self._step
        last = max(math.ceil(high / self._step) * self._step, first + self._least)
        if not self._set:
            self.low, self.high, self._set = first, last, True
            return True
        if first < self.low or last > self.high:
            self.low, self.high = min(first, self.low), max(last, self.high)
            self._roomy_since = None
            return True
        if last - first > 0.6 * (self.high - self.low):
            self._roomy_since = None
        elif self._roomy_since is None:
            self._roomy_since = now
        elif now - self._roomy_since > _SHRINK_AFTER_S:
            self.low, self.high, self._roomy_since = first, last, None
            return True
        return False


class Ceiling:
    """An amount's upper limit: 1, 2 or 5 times a power of ten, above all there is."""

    def __init__(self) -> None:
        self.value = 0.0
        self._low_since: float | None = None

    def fit(self, largest: float, now: float) -> bool:
        """Take in an amount at a time in seconds; return whether the limit changed."""
        wanted = nice(largest * 1.05)
        if wanted > self.value:
            self.value, self._low_since = wanted, None
            return True
        if wanted == self.value:
            self._low_since = None
        elif self._low_since is None:
            self._low_since = now
        elif now - self._low_since > _SHRINK_AFTER_S:
            self.value, self._low_since = wanted, None
            return True
        return False


def nice(value: float) -> float:
    """Return the least of 1, 2, 5, 10, 20, ... that is not below the value."""
    if value <= 1:
        return 1.0
    power = 10.0 ** math.floor(math.log10(value))
    return next(power * step for step in (1, 2, 5, 10) if power * step >= value * (1 - 1e-12))


# --- axes ----------------------------------------------------------------------------------------


def octave_ticks(low: float, high: float) -> list[float]:
    """Return where, in powers of two, the ticks of [2**low, 2**high] stand: 1, 2, 5 or decades."""
    decades = (high - low) * math.log10(2)
    steps = (1, 2, 5) if decades < 1.8 else (1,)
    every = 1 if decades < 5 else 2 if decades < 10 else 3
    first, last = math.floor(low * math.log10(2)), math.ceil(high * math.log10(2))
    values = [s * 10.0**p for p in range(first, last + 1) for s in steps if p % every == 0]
    return [at for at in map(math.log2, values) if low <= at <= high]


def log_ticks(axes: Axes, which: str, span: Span, unit: str) -> None:
    """Give an axis that counts octaves its limits, and ticks in human units."""
    axis = axes.xaxis if which == "x" else axes.yaxis
    (axes.set_xlim if which == "x" else axes.set_ylim)(span.low, span.high)
    write = figure.text_in(unit)
    axis.set_ticks(octave_ticks(span.low, span.high))
    axis.set_major_formatter(FuncFormatter(lambda at, _: write(2.0**at)))


def count_ticks(axes: Axes, which: str, ceiling: float, unit: str = "") -> None:
    """Give an axis of amounts its limits from 0, and ticks in human units."""
    axis = axes.xaxis if which == "x" else axes.yaxis
    (axes.set_xlim if which == "x" else axes.set_ylim)(0, ceiling)
    write: Callable[[float], str] = figure.text_in(unit)
    leading = ceiling / 10 ** math.floor(math.log10(ceiling)) if ceiling > 0 else 1
    parts = 4 if round(leading) == 2 else 5
    if not unit and ceiling < 5:
        parts = max(1, round(ceiling))
    axis.set_ticks([ceiling * part / parts for part in range(parts + 1)])
    axis.set_major_formatter(FuncFormatter(lambda value, _: write(value)))


def time_ticks(axes: Axes, window_s: float, labels: bool = True) -> None:
    """Let the axis run from the window's begin to now."""
    axes.set_xlim(-window_s, 0)
    room = max(2.0, axes.bbox.width / _TICK_PIXELS)
    step = next(s for s in (1, 2, 5, 10, 15, 30, 60, 120, 300, 600) if window_s / s <= room)
    ticks = [-step * k for k in range(int(window_s / step), -1, -1)]
    axes.set_xticks(ticks)
    axes.set_xticklabels([_ago(-at) if labels else "" for at in ticks])


def _ago(seconds: float) -> str:
    if not seconds:
        return "now"
    if seconds % 60 == 0 and seconds >= 120:
        return f"{seconds / 60:g} min ago"
    return f"{seconds:g} s ago"
