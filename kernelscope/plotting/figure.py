"""What all plots share: the figure, its colours, units that people read, and its caption."""

from __future__ import annotations

import io
import math
import textwrap
from collections.abc import Callable
from typing import Any

import matplotlib as mpl
import matplotlib.figure
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, MultipleLocator, NullFormatter

from kernelscope.analysis.percentiles import lost_events
from kernelscope.plotting.theme import GREY, INK, LIGHT, PALETTE, WARNING, Theme

__all__ = ["GREY", "INK", "PALETTE", "WARNING", "Figure"]

_CAPTION_CHARACTERS = 12  # that an inch of figure holds
_SECONDS = {"ns": 1e-9, "us": 1e-6, "ms": 1e-3, "s": 1.0}


class Figure(matplotlib.figure.Figure):
    """A figure that a notebook shows by itself, without pyplot."""

    def _repr_png_(self) -> bytes:
        buffer = io.BytesIO()
        self.savefig(buffer, format="png", dpi=110)
        return buffer.getvalue()


def new(
    df: pd.DataFrame, title: str, *, width: float = 8.0, height: float = 4.5
) -> tuple[Figure, Axes]:
    """Return an empty figure with title and caption, and its axes. Sizes are in inches."""
    with mpl.rc_context(style(LIGHT)):
        figure = Figure(figsize=(width, height), layout="constrained")
        axes = figure.add_subplot()
    if title:
        figure.suptitle(title, x=0.01, ha="left", fontsize=15, fontweight="bold", color=INK)
    text = caption(df)
    if text:
        lines = textwrap.wrap(text, int(width * _CAPTION_CHARACTERS))
        colour = WARNING if notices(df) else "#5A5A5A"
        figure.supxlabel("\n".join(lines), x=0.01, ha="left", fontsize=10, color=colour)
    return figure, axes


def style(theme: Theme) -> Any:
    """Return matplotlib's settings for a theme."""
    return {
        "font.size": 12,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "axes.edgecolor": theme.muted,
        "axes.facecolor": theme.face,
        "figure.facecolor": theme.face,
        "axes.labelcolor": theme.ink,
        "text.color": theme.ink,
        "xtick.color": theme.ink,
        "ytick.color": theme.ink,
        "axes.grid": True,
        "grid.color": theme.grid,
        "axes.axisbelow": True,
    }


def legend(figure: Figure, **options: Any) -> None:
    """Put the legend beside the axes, where it hides nothing."""
    options = {"loc": "outside right upper", "frameon": False, "fontsize": 11, **options}
    figure.legend(**options)


def notices(df: pd.DataFrame) -> list[str]:
    """Return what a reader must know of a result: that it is replayed, what was lost."""
    receipt = df.attrs.get("kernelscope") or {}
    found = []
    if receipt.get("recorded"):
        found.append("RECORDED earlier, not live")
    lost = lost_events(df)
    if lost:
        whole = lost + int(df["count"].sum() if "count" in df.columns else len(df))
        found.append(f"LOST {lost:,} of {whole:,} events ({lost / whole:.1%})")
    if receipt.get("interrupted"):
        found.append("ended early")
    return found


def caption(df: pd.DataFrame) -> str:
    """Return the line below a figure: its notices, what ran, for how long, when and where."""
    receipt = df.attrs.get("kernelscope") or {}
    parts = notices(df)
    if receipt.get("name"):
        seconds = receipt.get("duration_s")
        length = f", {seconds:.3g} s" if seconds else ""
        parts.append(f"{receipt['name']}{length}")
    if receipt.get("started"):
        parts.append(str(receipt["started"])[:19].replace("T", " ") + " UTC")
    if receipt.get("host"):
        parts.append(str(receipt["host"]))
    return " · ".join(parts)


# --- numbers as people read them -----------------------------------------------------------------


def duration_text(seconds: float) -> str:
    """Return a time with the unit that suits it: "1.5 ms", "20 µs"."""
    for unit, size in (("s", 1.0), ("ms", 1e-3), ("µs", 1e-6), ("ns", 1e-9)):
        if abs(seconds) >= size * 0.9995:
            return f"{_short(seconds / size)} {unit}"
    return "0" if seconds == 0 else f"{_short(seconds * 1e9)} ns"


def bytes_text(size: float) -> str:
    """Return a size in binary units: "4 KiB", "1.5 MiB"."""
    value = abs(size)
    for unit in ("B", "KiB", "MiB", "GiB"):
        if value < 1023.5:
            return f"{_short(math.copysign(value, size))} {unit}"
        value /= 1024
    return f"{_short(math.copysign(value, size))} TiB"


def count_text(number: float) -> str:
    """Return a count: "950", "12,400", "1.2 M"."""
    if abs(number) < 1e5:
        return f"{number:,.0f}" if number == int(number) else f"{number:,.3g}"
    for unit, size in (("G", 1e9), ("M", 1e6)):
        if abs(number) >= size:
            return f"{_short(number / size)} {unit}"
    return f"{_short(number / 1e3)} k"


def _short(value: float) -> str:
    return f"{value:.3g}" if abs(value) < 999.5 else f"{value:,.0f}"


def text_in(unit: str) -> Callable[[float], str]:
    """Return the function that writes numbers of a unit: "ns", "us", "ms", "s", "bytes" or ""."""
    if unit in _SECONDS:
        scale = _SECONDS[unit]
        return lambda value: duration_text(value * scale)
    return bytes_text if unit == "bytes" else count_text


def range_text(low: float, high: float, unit: str) -> str:
    """Return bounds with their unit once where it is the same: "2.05" to "2.3 µs"."""
    write = text_in(unit)
    if not math.isfinite(high):
        return f"above {write(low)}"
    first, last = write(low), write(high)
    number, _, of = first.rpartition(" ")
    same = number and of == last.rpartition(" ")[2]
    return f"{number if same else first}\N{EN DASH}{last}"


def readable(axis: Axis, unit: str) -> None:
    """Write an axis's ticks in human units; few enough that they do not touch."""
    write = text_in(unit)
    axis.set_major_formatter(FuncFormatter(lambda value, _: write(value)))
    axis.set_minor_formatter(NullFormatter())
    if axis.get_scale() == "log":
        low, high = sorted(axis.get_view_interval())
        subs = (1.0, 2.0, 5.0) if low > 0 and high / low < 60 else (1.0,)
        base = 2.0 if unit == "bytes" else 10.0
        axis.set_major_locator(
            LogLocator(base=base, subs=subs if base == 10 else (1.0,), numticks=8)
        )
    elif unit == "bytes":
        low, high = sorted(axis.get_view_interval())
        axis.set_major_locator(MultipleLocator(2.0 ** math.ceil(math.log2((high - low) / 6 or 1))))
    else:
        axis.set_major_locator(MaxNLocator(nbins=6, integer=unit == ""))


def label_of(name: str, unit: str) -> str:
    """Return a column's name for an axis, without the unit that its ticks show."""
    return name.removesuffix(f"_{unit}").replace("_", " ")


def shortened(text: str, limit: int = 44) -> str:
    """Return text of at most `limit` characters, its middle left out where it is longer."""
    if len(text) <= limit:
        return text
    tail = (limit - 1) * 2 // 3
    return f"{text[: limit - 1 - tail]}…{text[-tail:]}"
