"""Flame graphs as pictures: each box is a function, as wide as its share of the samples."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.colors import to_rgb
from matplotlib.patches import Rectangle

from kernelscope import units
from kernelscope.analysis.stack_tree import Node, title_of, tree
from kernelscope.plotting import figure

_WIDTH_INCHES = 10.0
_ROW_INCHES = 0.24
_MAX_DEPTH = 50
_LEAST_SHARE = 0.001
_FONT_POINTS = 9.5
_CHARACTER_INCHES = _FONT_POINTS * 0.602 / 72  # DejaVu Sans Mono's advance
_COLOURS = {"comm": "#BDBDBD", "user_stack": "#56B4E9", "kernel_stack": "#E69F00"}
MORE, FEWER = "#E66101", "#5E3C99"  # of PuOr, distinct with any colour vision
_SAME = np.array(to_rgb("#F2F2F2"))
_NAMES = {"comm": "process", "user_stack": "program", "kernel_stack": "kernel"}


def draw(df: pd.DataFrame, value: str = "count", title: str = "") -> figure.Figure:
    """Return the flame graph of a table with stacks. Raises AnalysisError where it has none."""
    root = tree(df, value)
    root.name = _whole_text(value if value in df.columns else "", root.count)
    result, shown = draw_tree(df, root, title or title_of(df))
    kinds = dict.fromkeys(_part(kind) for kind in shown)
    legend(result, {_NAMES[kind]: _COLOURS[kind] for kind in kinds})
    return result


def draw_tree(df: pd.DataFrame, root: Node, title: str) -> tuple[figure.Figure, list[str]]:
    """Return a tree's picture without its legend, and the kinds of its boxes."""
    boxes = list(_boxes(root, 0, 0, root.count * _LEAST_SHARE))
    depth = max((level for _, level, _ in boxes), default=0) + 1
    height = 1.5 + depth * _ROW_INCHES
    result, axes = figure.new(df, title, width=_WIDTH_INCHES, height=height)
    for node, level, left in boxes:
        _draw_box(axes, node, level, left, max(root.count, 1))
    axes.set_xlim(0, max(root.count, 1))
    axes.set_ylim(0, depth)
    axes.axis("off")
    return result, [node.kind for node, _, _ in boxes]


def legend(result: figure.Figure, colours: Mapping[str, Any]) -> None:
    """Explain the colours above the picture."""
    patches = [Rectangle((0, 0), 1, 1, color=colour) for colour in colours.values()]
    figure.legend(result, handles=patches, labels=list(colours), loc="outside upper right", ncols=3)


def _boxes(node: Node, level: int, left: int, least: float) -> Iterator[tuple[Node, int, int]]:
    yield node, level, left
    if level + 1 >= _MAX_DEPTH:
        return
    for child in sorted(node.children.values(), key=lambda each: each.name):
        if child.count >= least:
            yield from _boxes(child, level + 1, left, least)
        left += child.count


def _part(kind: str) -> str:
    """Return which part of a stack a column holds: "waker_kernel_stack" is kernel code too."""
    if kind == "comm":
        return kind
    return "kernel_stack" if kind.endswith("kernel_stack") else "user_stack"


def _whole_text(value: str, whole: int) -> str:
    unit = units.unit_of(value)
    amount = units.text_in(unit)(whole) if unit else f"{whole:,} samples"
    return f"all: {amount}"


def _draw_box(axes: Any, node: Node, level: int, left: int, whole: int) -> None:
    colour = _colour(node)
    axes.add_patch(
        Rectangle((left, level), node.count, 0.94, facecolor=colour, edgecolor="white", lw=0.5)
    )
    room = int(node.count / whole * (_WIDTH_INCHES - 0.4) / _CHARACTER_INCHES) - 1
    label = figure.drawable(node.name)
    if len(label) > room:
        label = f"{label[: room - 1]}…" if room >= 4 else ""
    if label:
        axes.text(
            left + node.count / 2,
            level + 0.45,
            label,
            ha="center",
            va="center",
            fontsize=_FONT_POINTS,
            family="monospace",
            color="white" if sum(colour) < 1.7 else figure.INK,
            clip_on=True,
            parse_math=False,
        )


def _colour(node: Node) -> tuple[float, float, float]:
    if node.rates is None:
        return _shade(_COLOURS[_part(node.kind)], node.name)
    share = share_of_change(*node.rates)
    red, green, blue = np.array(to_rgb(MORE if share > 0 else FEWER)) * abs(share) + _SAME * (
        1 - abs(share)
    )
    return float(red), float(green), float(blue)


def share_of_change(before: float, after: float) -> float:
    """Return the change of a rate, from -1 (all gone) over 0 (unchanged) to 1 (all new)."""
    return (after - before) / (after + before) if after + before else 0.0


def _shade(colour: str, name: str) -> tuple[float, float, float]:
    """Return the colour, lighter by an amount that depends on the name: neighbours differ."""
    amount = sum(name.encode()) % 7 / 7 * 0.45
    red, green, blue = np.array(to_rgb(colour)) * (1 - amount) + amount
    return float(red), float(green), float(blue)
