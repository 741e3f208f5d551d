"""Axes of live pictures: limits that do not flutter, and ticks in human units."""

from __future__ import annotations

import math
from collections.abc import Callable

from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter

from kernelscope import units

_TICK_PIXELS = 84  # the width of a time's label
_SHRINK_AFTER_S = 4.0


class Span:
    """An axis's limits in whole steps: they grow at once, and shrink after a while."""

    def __init__(self, step: float = 1.0, least: float = 1.0) -> None:
        self.low = self.high = 0.0
        self._step = step
        self._least = least
        self._roomy_since: float | None = None
        self._set = False

    def fit(self, low: float, high: float, now: float) -> bool:
        """Make room for [low, high] at a time in seconds; return whether the limits changed."""
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
    """An amount's upper limit: 1, 2 or 5 times a power of ten, above every amount."""

    def __init__(self) -> None:
        self.value = 0.0
        self._low_since: float | None = None

    def fit(self, largest: float, now: float) -> bool:
        """Make room for an amount at a time in seconds; return whether the limit changed."""
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


def octave_ticks(low: float, high: float) -> list[float]:
    """Return the ticks of [2**low, 2**high] as powers of two: at 1, 2, 5, or at decades."""
    decades = (high - low) * math.log10(2)
    steps = (1, 2, 5) if decades < 1.8 else (1,)
    every = 1 if decades < 5 else 2 if decades < 10 else 3
    first, last = math.floor(low * math.log10(2)), math.ceil(high * math.log10(2))
    values = [s * 10.0**p for p in range(first, last + 1) for s in steps if p % every == 0]
    return [at for at in map(math.log2, values) if low <= at <= high]


def log_ticks(axes: Axes, which: str, span: Span, unit: str) -> None:
    """Set the limits of an axis of octaves, with ticks in human units."""
    axis = axes.xaxis if which == "x" else axes.yaxis
    (axes.set_xlim if which == "x" else axes.set_ylim)(span.low, span.high)
    write = units.text_in(unit)
    axis.set_ticks(octave_ticks(span.low, span.high))
    axis.set_major_formatter(FuncFormatter(lambda at, _: write(2.0**at)))


def count_ticks(axes: Axes, which: str, ceiling: float, unit: str = "") -> None:
    """Set the limits of an axis of amounts, from 0, with ticks in human units."""
    axis = axes.xaxis if which == "x" else axes.yaxis
    (axes.set_xlim if which == "x" else axes.set_ylim)(0, ceiling)
    write: Callable[[float], str] = units.text_in(unit)
    leading = ceiling / 10 ** math.floor(math.log10(ceiling)) if ceiling > 0 else 1
    parts = 4 if round(leading) == 2 else 5
    if not unit and ceiling < 5:
        parts = max(1, round(ceiling))
    axis.set_ticks([ceiling * part / parts for part in range(parts + 1)])
    axis.set_major_formatter(FuncFormatter(lambda value, _: write(value)))


def time_ticks(axes: Axes, window_s: float, labels: bool = True) -> None:
    """Set the axis from the start of the window to now."""
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
