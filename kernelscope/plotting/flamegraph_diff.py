"""Differential flame graphs: where two profiles differ, as one graph.

A box is as wide as the mean of what both had there in a second, so that what is gone shows as well
as what is new; its colour goes from purple (fewer or none after) over grey (as before) to orange
(more, or new). Rates are compared, so the captures may differ in length.
"""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from kernelscope import units
from kernelscope.analysis import stack_tree
from kernelscope.analysis.stack_tree import Node
from kernelscope.errors import AnalysisError
from kernelscope.io import tabular
from kernelscope.io.tabular import PathLike
from kernelscope.plotting import flamegraph
from kernelscope.plotting.figure import Figure
from kernelscope.plotting.flamegraph import FEWER, MORE


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
    value = value or stack_tree.value_of(after)
    root = stack_tree.difference(before, after, value)
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
    unit = units.unit_of(value)
    return units.text_in(unit)(number) if unit else f"{number:,.4g}"


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
