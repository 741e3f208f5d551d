"""Flame graphs: where samples were, as boxes; a box is as wide as its function's share of them.

As a picture, as a page that can be zoomed and searched, and as the files that other tools read.
"""

from __future__ import annotations

import html
import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.colors import to_rgb
from matplotlib.patches import Rectangle

from kernelscope.analysis import readings
from kernelscope.analysis.percentiles import UNITS
from kernelscope.errors import AnalysisError
from kernelscope.io import tabular
from kernelscope.plotting import figure
from kernelscope.probe import catalogue

STACKS = ("user_stack", "kernel_stack")  # outermost first

_WIDTH_INCHES = 12.0
_ROW_INCHES = 0.24
_MAX_DEPTH = 50
_LEAST_SHARE = 0.001
_FONT_POINTS = 9.5
_CHARACTER_INCHES = _FONT_POINTS * 0.602 / 72  # DejaVu Sans Mono's advance
_COLOURS = {"comm": "#BDBDBD", "user_stack": "#56B4E9", "kernel_stack": "#E69F00"}
MORE, FEWER = "#E66101", "#5E3C99"  # of PuOr, which all eyes tell apart
_SAME = np.array(to_rgb("#F2F2F2"))
_SPEEDSCOPE_UNITS = {
    "ns": "nanoseconds",
    "us": "microseconds",
    "ms": "milliseconds",
    "s": "seconds",
    "bytes": "bytes",
}
_NAMES = {"comm": "process", "user_stack": "program", "kernel_stack": "kernel"}


@dataclass
class Node:
    """A function in one place of the stacks: how many samples were in it, or in what it called."""

    name: str
    kind: str
    count: int = 0
    children: dict[tuple[str, str], Node] = field(default_factory=dict)
    rates: tuple[float, float] | None = None  # of a difference: a second before, and after

    def child(self, kind: str, name: str) -> Node:
        """Return the child of that name, made where there is none."""
        return self.children.setdefault((kind, name), Node(name, kind))


def value_of(df: pd.DataFrame) -> str:
    """Return the column that a table's flame graph adds up, as its probe says: "total_us".

    Without one it is "count", and "value" of bpftrace's maps.
    """
    name = (df.attrs.get(tabular.KEY) or {}).get("probe")
    plots = catalogue.find(name).plots if name in catalogue.names() else ()
    wide = [p.value for p in plots if p.kind == "flamegraph" and p.value in df.columns]
    if not wide and "count" not in df.columns and "value" in df.columns:
        return "value"
    return wide[0] if wide else "count"


def tree(df: pd.DataFrame, value: str = "count") -> Node:
    """Return the tree of a table with user_stack or kernel_stack (or another *stack) columns.

    Of a table that was read at intervals, the last reading has all.
    """
    df = readings.last(df)
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
    receipt = df.attrs.get(tabular.KEY) or {}
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
    lines = (f"{';'.join(each.name for each in path)} {own}" for path, own in _stacks(root))
    return "".join(f"{line}\n" for line in lines)


def speedscope(
    root: Node, title: str, value: str = "count", receipt: Mapping[str, Any] | None = None
) -> str:
    """Return the stacks in speedscope's own format, as one sampled profile."""
    unit = _SPEEDSCOPE_UNITS.get(value.rpartition("_")[2], "none")
    frames: dict[str, int] = {}
    samples, weights = [], []
    for path, own in _stacks(root):
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
            tabular.KEY: dict(receipt or {}),
            "shared": {"frames": [{"name": name} for name in frames]},
            "profiles": [profile],
        },
        default=str,
    )


def _stacks(root: Node) -> Iterator[tuple[tuple[Node, ...], int]]:
    """Yield every path below the root that samples ended in, and how many did."""
    left: list[tuple[tuple[Node, ...], Node]] = [((), root)]
    while left:
        path, node = left.pop()
        own = node.count - sum(child.count for child in node.children.values())
        if own > 0 and path:
            yield path, own
        children = sorted(node.children.values(), key=lambda child: child.name, reverse=True)
        left += [((*path, child), child) for child in children]


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
    unit = value.rpartition("_")[2]
    amount = figure.text_in(unit)(whole) if unit in UNITS else f"{whole:,} samples"
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
