"""What all plots share: the figure with its title and caption, its style, readable ticks."""

from __future__ import annotations

import io
import math
import textwrap
from functools import cache
from typing import Any

import matplotlib as mpl
import matplotlib.figure
import pandas as pd
from matplotlib import font_manager
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.font_manager import FontProperties
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, MultipleLocator, NullFormatter

from kernelscope import units
from kernelscope.plotting.caption import caption, notices
from kernelscope.plotting.theme import GREY, INK, LIGHT, PALETTE, WARNING, Theme
from kernelscope.text import printable, without_middle

__all__ = ["GREY", "INK", "PALETTE", "WARNING", "Figure"]

_CAPTION_CHARACTERS = 13  # per inch
_TITLE_CHARACTERS = 8  # per inch
_NAME = 60  # characters of a name in the caption or next to an axis


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
    left: Any = {"x": 0.01, "ha": "left", "parse_math": False}
    if title:
        figure.suptitle(
            drawable(title, int(width * _TITLE_CHARACTERS)),
            fontsize=13,
            fontweight="bold",
            color=INK,
            **left,
        )
    text = drawable(caption(df))
    if text:
        lines = textwrap.wrap(text, int(width * _CAPTION_CHARACTERS))
        colour = WARNING if notices(df) else "#5A5A5A"
        figure.supxlabel("\n".join(lines), fontsize=9, color=colour, **left)
    return figure, axes


def drawable(text: str, width: int | None = None) -> str:
    """Return a name as it can be drawn, without its middle where it is longer than `width`.

    Control characters, and characters that the fonts lack, are escaped. Text artists also need
    `parse_math=False`: matplotlib would take a `$` in a name for the start of a formula.
    """
    shown = printable(text)
    if not shown.isascii():
        shown = "".join(c if _has_glyph(c) else _escaped(c) for c in shown)
    return shown if width is None else without_middle(shown, width)


def label_axis(axis: Axis, name: str) -> None:
    """Set an axis's label to a column's name."""
    axis.set_label_text(drawable(name, _NAME), parse_math=False)


def _escaped(character: str) -> str:
    return character.encode("unicode_escape").decode("ascii")


@cache
def _fonts(family: tuple[str, ...]) -> list[Any]:
    found = [font_manager.findfont(FontProperties(family=each)) for each in (family, "monospace")]
    return [font_manager.get_font(path) for path in found]


@cache
def _has_glyph(character: str) -> bool:
    family = mpl.rcParams["font.family"]
    return all(font.get_char_index(ord(character)) for font in _fonts(tuple(family)))


def style(theme: Theme) -> Any:
    """Return the matplotlib settings of a theme."""
    return {
        "font.size": 11,
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
    """Put the legend next to the axes, where it hides nothing."""
    options = {"loc": "outside right upper", "frameon": False, "fontsize": 10, **options}
    names = options.pop("labels", None)
    if names is None:
        figure.legend(**options)
        return
    # matplotlib drops labels that start with an underscore, so they are set afterwards
    made = figure.legend(labels=[str(number) for number in range(len(names))], **options)
    for text, name in zip(made.get_texts(), names, strict=True):
        text.set(text=name, parse_math=False)


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
