"""Differential flame graphs: one graph that shows where two profiles differ.

A box is as wide as the mean of its two rates, so that it shows what is gone as well as what is new.
Its colour goes from purple (fewer or none after) over grey (unchanged) to orange (more, or new).
Rates are compared, so the captures may differ in length.
"""

from __future__ import annotations

import pandas as pd

from kernelscope import units
from kernelscope.analysis import stack_tree
from kernelscope.plotting import flamegraph
from kernelscope.plotting.figure import Figure
from kernelscope.plotting.flamegraph import FEWER, MORE

TITLE = "What changed"


def draw(
    before: pd.DataFrame, after: pd.DataFrame, value: str | None = None, title: str = ""
) -> Figure:
    """Return the differential flame graph of two tables with stacks.

    value: the column that is added up; by default the one of the probe. Raises AnalysisError where
    a table has no stacks.
    """
    value = value or stack_tree.value_of(after)
    root = stack_tree.difference(before, after, value)
    before_text, after_text = (_amount(rate, value) for rate in root.rates or (0.0, 0.0))
    root.name = f"all: {before_text} per second before, {after_text} after"
    result, _ = flamegraph.draw_tree(after, root, title or TITLE)
    flamegraph.legend(result, {"fewer": FEWER, "more": MORE})
    return result


def _amount(number: float, value: str) -> str:
    """Return a column's amount as text, with its unit where its name ends in one."""
    unit = units.unit_of(value)
    return units.text_in(unit)(number) if unit else f"{number:,.4g}"
