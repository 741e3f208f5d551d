"""Differential flame graphs: where two profiles differ, as one graph.

A box is as wide as the mean of what both had there in a second, so that what is gone shows as well
as what is new; its colour goes from purple (fewer or none after) over grey (as before) to orange
(more, or new). Rates are compared, so the captures may differ in length.
"""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from kernelscope.analysis import bootstrap
from kernelscope.analysis.percentiles import UNITS
from kernelscope.errors import AnalysisError
from kernelscope.io import tabular
from kernelscope.io.tabular import PathLike
from kernelscope.plotting import figure, flamegraph
from kernelscope.plotting.figure import Figure
from kernelscope.plotting.flamegraph import FEWER, MORE, Node

_FINE = 1_000_000  # widths are whole numbers: of millionths a second


def difference(
    before: pd.DataFrame,
    after: pd.DataFrame,
    value: str | None = None,
    *,
    title: str = "What changed",
    save: PathLike | None = None,
) -> Figure:
    """Return the differential flame graph of two tables with stacks, and `save` it where asked.

    value: the column that is added up; by default the one that the probe says. save: NAME.html (a
    page with zoom and search, where each box says its rates), or .svg, .png, .pdf. Raises
    AnalysisError where a table has no stacks or for another name; ExportError.
    """
    value = value or flamegraph.value_of(after)
    root = tree(before, after, value)
    assert root.rates is not None
    before_text, after_text = (_amount(rate, value) for rate in root.rates)
    root.name = f"all: {before_text} a second before, {after_text} after"
    result, _ = flamegraph.draw_tree(after, root, title)
    flamegraph.legend(result, {"fewer": FEWER, "more": MORE})
    if save is not None:
        _save(result, root, Path(save), title)
    return result


def _amount(number: float, value: str) -> str:
    """Return a column's amount as text: with its unit where its name ends in one."""
    unit = value.rpartition("_")[2]
    return figure.text_in(unit)(number) if unit in UNITS else f"{number:,.4g}"


def tree(before: pd.DataFrame, after: pd.DataFrame, value: str = "count") -> Node:
    """Return one tree of both, whose nodes know their rates before and after."""
    return _merged(
        (flamegraph.tree(before, value), flamegraph.tree(after, value)),
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


def _save(result: Figure, root: Node, path: Path, title: str) -> None:
    if path.suffix == ".html":
        text = flamegraph.page(flamegraph.data(root), title)
        tabular.write_file(path, text.encode("utf-8"))
    elif path.suffix in (".svg", ".png", ".pdf"):
        tabular.write_picture(result, path)
    else:
        raise AnalysisError(
            f"{path.name}: which kind of picture is it to be?",
            hint="end the name with .html, .svg, .png or .pdf",
            column=None,
        )
