"""Flame graphs: where samples were, as boxes; a box is as wide as its function's share of them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.colors import to_rgb
from matplotlib.patches import Rectangle

from kernelscope import figure
from kernelscope.errors import AnalysisError

STACKS = ("user_stack", "kernel_stack")  # outermost first

_WIDTH_INCHES = 12.0
_ROW_INCHES = 0.24
_MAX_DEPTH = 50
_LEAST_SHARE = 0.001
_FONT_POINTS = 9.5
_CHARACTER_INCHES = _FONT_POINTS * 0.602 / 72  # DejaVu Sans Mono's advance
_COLOURS = {"comm": "#BDBDBD", "user_stack": "#56B4E9", "kernel_stack": "#E69F00"}
_NAMES = {"comm": "process", "user_stack": "program", "kernel_stack": "kernel"}


@dataclass
class Node:
    """A function in one place of the stacks: how many samples were in it, or in what it called."""

    name: str
    kind: str
    count: int = 0
    children: dict[tuple[str, str], Node] = field(default_factory=dict)

    def child(self, kind: str, name: str) -> Node:
        """Return the child of that name, made where there is none."""
        return self.children.setdefault((kind, name), Node(name, kind))


def tree(df: pd.DataFrame, value: str = "count") -> Node:
    """Return the tree of a table with user_stack or kernel_stack (or another *stack) columns."""
    kinds = stack_columns(df)
    if not kinds:
        raise AnalysisError(
            "the table has no stacks", hint="%ebpf profile gives some", column="user_stack"
        )
    counts = df[value].tolist() if value in df.columns else [1] * len(df)
    names = [("comm", df["comm"].tolist())] if "comm" in df.columns else []
    names += [(kind, df[kind].tolist()) for kind in kinds]
    root = Node("all", "comm")
    for row, count in enumerate(counts):
        _add(root, int(count), [(kind, str(column[row])) for kind, column in names])
    return root


def stack_columns(df: pd.DataFrame) -> list[str]:
    """Return the columns of folded stacks: user before kernel, then any other."""
    known = [name for name in STACKS if name in df.columns]
    others = [str(n) for n in df.columns if str(n).endswith("stack") and n not in known]
    return known + [name for name in others if pd.api.types.is_string_dtype(df[name])]


def _add(root: Node, count: int, parts: list[tuple[str, str]]) -> None:
    node = root
    node.count += count
    for kind, folded in parts:
        for name in [folded] if kind == "comm" else folded.split(";"):
            if name:
                node = node.child(kind, name)
                node.count += count


def draw(df: pd.DataFrame, value: str = "count", title: str = "") -> figure.Figure:
    """Return the flame graph of a table with stacks. Raises AnalysisError where it has none."""
    root = tree(df, value)
    boxes = list(_boxes(root, 0, 0, root.count * _LEAST_SHARE))
    depth = max((level for _, level, _ in boxes), default=0) + 1
    height = 1.5 + depth * _ROW_INCHES
    result, axes = figure.new(df, title, width=_WIDTH_INCHES, height=height)
    for node, level, left in boxes:
        _draw_box(axes, node, level, left, root.count)
    axes.set_xlim(0, max(root.count, 1))
    axes.set_ylim(0, depth)
    axes.axis("off")
    shown = dict.fromkeys(node.kind for node, _, _ in boxes if node.kind in _NAMES)
    patches = [Rectangle((0, 0), 1, 1, color=_COLOURS[kind]) for kind in shown]
    names = [_NAMES[kind] for kind in shown]
    figure.legend(result, handles=patches, labels=names, loc="outside upper right", ncols=3)
    return result


def _boxes(node: Node, level: int, left: int, least: float) -> Iterator[tuple[Node, int, int]]:
    yield node, level, left
    if level + 1 >= _MAX_DEPTH:
        return
    for child in sorted(node.children.values(), key=lambda each: each.name):
        if child.count >= least:
            yield from _boxes(child, level + 1, left, least)
        left += child.count


def _draw_box(axes: Any, node: Node, level: int, left: int, whole: int) -> None:
    colour = _shade(_COLOURS.get(node.kind, _COLOURS["user_stack"]), node.name)
    axes.add_patch(
        Rectangle((left, level), node.count, 0.94, facecolor=colour, edgecolor="white", lw=0.5)
    )
    room = int(node.count / whole * (_WIDTH_INCHES - 0.4) / _CHARACTER_INCHES) - 1
    label = node.name if level else f"all: {node.count:,} samples"
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
            color=figure.INK,
            clip_on=True,
        )


def _shade(colour: str, name: str) -> tuple[float, float, float]:
    """Return the colour, lighter by an amount that the name fixes: neighbours stand apart."""
    amount = sum(name.encode()) % 7 / 7 * 0.45
    red, green, blue = np.array(to_rgb(colour)) * (1 - amount) + amount
    return float(red), float(green), float(blue)
