"""What all plots share: the figure with its title and caption, its style, readable ticks."""

from __future__ import annotations

import io
import math
import textwrap
from typing import Any

import matplotlib as mpl
import matplotlib.figure
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, MultipleLocator, NullFormatter

from kernelscope import units
from kernelscope.analysis.measure import lost_events
from kernelscope.plotting.theme import GREY, INK, LIGHT, PALETTE, WARNING, Theme
from kernelscope.tables.attrs import receipt_of

__all__ = ["GREY", "INK", "PALETTE", "WARNING", "Figure"]

_CAPTION_CHARACTERS = 12  # per inch


class Figure(matplotlib.figure.Figure):
    """A figure that a notebook displays without pyplot."""

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
    """Return the matplotlib settings of a theme."""
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
    """Return warnings about a result: it was replayed, events were lost, it ended early."""
    receipt = receipt_of(df)
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
    """Return the line below a figure: its warnings, what ran, for how long, when and where."""
    receipt = receipt_of(df)
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


def readable(axis: Axis, unit: str) -> None:
    """Set an axis's ticks in human units, few enough that they do not touch."""
    write = units.text_in(unit)
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


def capitalized(text: str) -> str:
    """Return the text with its first letter capitalized; all others stay as they are."""
    return text[:1].upper() + text[1:]
