"""Flame graphs: where samples were, as boxes; a box is as wide as its function's share of them.

As a picture, as a page that can be zoomed and searched, and as the files that other tools read.
"""

from __future__ import annotations

import html
import json
import re
from collections.abc import Callable, Iterator, Mapping
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.colors import to_rgb
from matplotlib.patches import Rectangle

from kernelscope import units
from kernelscope.analysis import stack_tree
from kernelscope.analysis.stack_tree import Node, tree, value_of
from kernelscope.errors import AnalysisError
from kernelscope.io import tabular
from kernelscope.plotting import figure
from kernelscope.tables.attrs import KEY, receipt_of

_WIDTH_INCHES = 12.0
_ROW_INCHES = 0.24
_MAX_DEPTH = 50
_LEAST_SHARE = 0.001
_FONT_POINTS = 9.5
_CHARACTER_INCHES = _FONT_POINTS * 0.602 / 72  # DejaVu Sans Mono's advance
_COLOURS = {"comm": "#BDBDBD", "user_stack": "#56B4E9", "kernel_stack": "#E69F00"}
MORE, FEWER = "#E66101", "#5E3C99"  # of PuOr, which all eyes tell apart
_SAME = np.array(to_rgb("#F2F2F2"))
_NAMES = {"comm": "process", "user_stack": "program", "kernel_stack": "kernel"}


# --- files ---------------------------------------------------------------------------------------


def save(
    df: pd.DataFrame, path: str | Path, value: str | None = None, title: str = "Stacks"
) -> Path:
    """Write a flame graph to a file; its name says what kind. Returns the path.

    .html: a page by itself, with zoom and search. .folded: one stack a line, as flamegraph.pl
    reads. .speedscope.json: for speedscope. .svg, .png, .pdf: the picture. value: the column that
    is added up; by default the one that the probe says. The receipt goes into a page's and
    speedscope's JSON. Raises AnalysisError for another name, and where the table has no stacks;
    ExportError.
    """
    target = Path(path)
    value = value or value_of(df)
    receipt = receipt_of(df)
    writers: dict[str, Callable[[], str]] = {
        ".html": lambda: page(data(tree(df, value)), title, receipt=receipt),
        ".folded": lambda: folded(tree(df, value)),
        ".speedscope.json": lambda: speedscope(tree(df, value), title, value, receipt),
    }
    for suffix, write in writers.items():
        if target.name.endswith(suffix):
            return tabular.write_file(target, write().encode("utf-8"))
    if target.suffix not in (".svg", ".png", ".pdf"):
        raise AnalysisError(
            f"{target.name}: which kind of flame graph is it to be?",
            hint=f"end the name with {', '.join(writers)}, .svg, .png or .pdf",
            column=None,
        )
    return tabular.write_picture(draw(df, value, title), target)


def data(node: Node) -> str:
    """Return a tree as the page reads it: [name, kind, count, children] as JSON.

    Of a difference, what there was a second before and after stands behind them.
    """

    def listed(each: Node) -> list[Any]:
        children = sorted(each.children.values(), key=lambda child: child.name)
        found = [each.name, each.kind, each.count, [listed(child) for child in children]]
        return found if each.rates is None else [*found, *each.rates]

    return json.dumps(listed(node), ensure_ascii=False, separators=(",", ":"))


def page(
    text: str,
    title: str,
    *,
    theme: str = "light",
    source: str = "",
    receipt: Mapping[str, Any] | None = None,
) -> str:
    """Return a page that draws `data`; source: the id of an element around it that has newer."""
    files = resources.files("kernelscope.plotting")
    template = files.joinpath("data/flamegraph.html").read_text("utf-8")
    filled = {
        "@title@": html.escape(title),
        "@theme@": html.escape(theme),
        "@source@": html.escape(source),
        # a function's name must not end the script
        "@receipt@": json.dumps(receipt or {}, default=str).replace("<", "\\u003c"),
        "@data@": text.replace("<", "\\u003c"),
    }
    return re.sub(r"@[a-z]+@", lambda found: filled.get(found[0], found[0]), template)


def folded(root: Node) -> str:
    """Return one line for each stack: "outer;inner 12"."""
    lines = (
        f"{';'.join(each.name for each in path)} {own}" for path, own in stack_tree.paths(root)
    )
    return "".join(f"{line}\n" for line in lines)


def speedscope(
    root: Node, title: str, value: str = "count", receipt: Mapping[str, Any] | None = None
) -> str:
    """Return the stacks in speedscope's own format, as one sampled profile."""
    unit = units.LONG_NAMES.get(units.unit_of(value), "none")
    frames: dict[str, int] = {}
    samples, weights = [], []
    for path, own in stack_tree.paths(root):
        samples.append([frames.setdefault(each.name, len(frames)) for each in path])
        weights.append(own)
    profile = {
        "type": "sampled", "name": title, "unit": unit, "startValue": 0,
        "endValue": sum(weights), "samples": samples, "weights": weights,
    }  # fmt: skip
    return json.dumps(
        {
            "$schema": "https://www.speedscope.app/file-format-schema.json",
            "name": title,
            "exporter": "kernelscope",
            KEY: dict(receipt or {}),
            "shared": {"frames": [{"name": name} for name in frames]},
            "profiles": [profile],
        },
        default=str,
    )


# --- the picture ---------------------------------------------------------------------------------


def draw(df: pd.DataFrame, value: str = "count", title: str = "") -> figure.Figure:
    """Return the flame graph of a table with stacks. Raises AnalysisError where it has none."""
    root = tree(df, value)
    root.name = _whole_text(value if value in df.columns else "", root.count)
    result, shown = draw_tree(df, root, title)
    kinds = dict.fromkeys(_part(kind) for kind in shown)
    legend(result, {_NAMES[kind]: _COLOURS[kind] for kind in kinds})
    return result


def draw_tree(df: pd.DataFrame, root: Node, title: str) -> tuple[figure.Figure, list[str]]:
    """Return a tree's picture without its legend, and the kinds of the boxes that it has."""
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
    """Say above the picture what its colours mean."""
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
    """Return which part of a stack a column holds: "waker_kernel_stack" is the kernel's too."""
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
    label = node.name
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
    """Return from -1 (all gone) over 0 (as before) to 1 (all new) how much a rate changed."""
    return (after - before) / (after + before) if after + before else 0.0


def _shade(colour: str, name: str) -> tuple[float, float, float]:
    """Return the colour, lighter by an amount that the name fixes: neighbours stand apart."""
    amount = sum(name.encode()) % 7 / 7 * 0.45
    red, green, blue = np.array(to_rgb(colour)) * (1 - amount) + amount
    return float(red), float(green), float(blue)
