"""Stacks as a tree: each node counts the samples in its function and in what the function called.

The tree of one table (`tree`), and the tree of two whose nodes know their rates before and after
(`difference`). Pictures, pages and files of flame graphs are made from it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import pandas as pd
from pandas.api import types

from kernelscope.analysis import bootstrap, readings
from kernelscope.analysis.proposed_plots import plots_of
from kernelscope.errors import AnalysisError

STACKS = ("user_stack", "kernel_stack")  # outermost first

_FINE = 1_000_000  # a difference's widths are whole numbers: millionths per second


@dataclass
class Node:
    """A function in one place of the stacks, and the samples in it or in what it called."""

    name: str
    kind: str
    count: int = 0
    children: dict[tuple[str, str], Node] = field(default_factory=dict)
    rates: tuple[float, float] | None = None  # of a difference: per second, before and after

    def child(self, kind: str, name: str) -> Node:
        """Return the child of that name, created if there is none."""
        return self.children.setdefault((kind, name), Node(name, kind))


def value_of(df: pd.DataFrame) -> str:
    """Return the column that a table's flame graph adds up, as its probe says: "total_us".

    Without one it is "count", and "value" of bpftrace's maps.
    """
    wide = [p.value for p in plots_of(df) if p.kind == "flamegraph" and p.value in df.columns]
    if not wide and "count" not in df.columns and "value" in df.columns:
        return "value"
    return wide[0] if wide else "count"


def title_of(df: pd.DataFrame) -> str:
    """Return the title of a table's flame graph, as its probe says: "Off-CPU time"."""
    titles = [p.title for p in plots_of(df) if p.kind == "flamegraph" and p.title]
    return titles[0] if titles else "Stacks"


def stack_columns(df: pd.DataFrame) -> list[str]:
    """Return the columns of folded stacks: user before kernel, then any other."""
    known = [name for name in STACKS if name in df.columns]
    others = [str(n) for n in df.columns if str(n).endswith("stack") and n not in known]
    return known + [name for name in others if types.is_string_dtype(df[name])]


def tree(df: pd.DataFrame, value: str = "count") -> Node:
    """Return the tree of a table with user_stack or kernel_stack (or another *stack) columns.

    Of a table that was read at intervals, the last reading has everything. Raises AnalysisError
    where the table has no stacks.
    """
    df = readings.last(df)
    kinds = stack_columns(df)
    if not kinds:
        raise AnalysisError(
            "the table has no stacks",
            hint="profile and offcputime record them",
            column="user_stack",
        )
    counts = df[value].tolist() if value in df.columns else [1] * len(df)
    names = [("comm", df["comm"].tolist())] if "comm" in df.columns else []
    names += [(kind, df[kind].tolist()) for kind in kinds]
    root = Node("all", "comm")
    for row, count in enumerate(counts):
        _add(root, int(count), [(kind, str(column[row])) for kind, column in names])
    return root


def _add(root: Node, count: int, parts: list[tuple[str, str]]) -> None:
    node = root
    node.count += count
    for kind, folded in parts:
        for name in [folded] if kind == "comm" else folded.split(";"):
            if name:
                node = node.child(kind, name)
                node.count += count


def difference(before: pd.DataFrame, after: pd.DataFrame, value: str = "count") -> Node:
    """Return one tree of two tables, whose nodes know their rates before and after."""
    return _merged(
        (tree(before, value), tree(after, value)),
        (bootstrap.duration(before), bootstrap.duration(after)),
    )


def _merged(pair: tuple[Node | None, Node | None], seconds: tuple[float, float]) -> Node:
    one = pair[0] or pair[1]
    assert one is not None
    first, second = (
        node.count / length if node else 0.0 for node, length in zip(pair, seconds, strict=True)
    )
    made = Node(one.name, one.kind, round((first + second) / 2 * _FINE), rates=(first, second))
    inner = [node.children if node else {} for node in pair]
    for key in {**inner[0], **inner[1]}:
        made.children[key] = _merged((inner[0].get(key), inner[1].get(key)), seconds)
    return made


def paths(root: Node) -> Iterator[tuple[tuple[Node, ...], int]]:
    """Yield every path below the root that samples ended in, and how many did."""
    left: list[tuple[tuple[Node, ...], Node]] = [((), root)]
    while left:
        path, node = left.pop()
        own = node.count - sum(child.count for child in node.children.values())
        if own > 0 and path:
            yield path, own
        children = sorted(node.children.values(), key=lambda child: child.name, reverse=True)
        left += [((*path, child), child) for child in children]
