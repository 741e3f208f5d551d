"""What a table is about, in the words of titles and of the list of views."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from kernelscope import units
from kernelscope.probe.model import Plot
from kernelscope.ui.live.counting.shape import Grouping, Shape

_WRITTEN = {"ios": "I/Os"}
_BY = re.compile(r",? by \w+\Z")


@dataclass(frozen=True)
class Subject:
    """Names for a table's parts.

    rows: its rows: "I/Os". events: what is counted: "I/Os", "Run queue latency: events". measure:
    what its values are: "Disk latency". stacks: what a flame graph adds up. amounts: what bars add
    up, by their value: "Bytes read and written".
    """

    rows: str
    events: str
    measure: str
    stacks: str
    amounts: Mapping[str, str]

    def amount_by(self, bar: Grouping) -> str:
        """Return what bars add up, and by which column: "Bytes read and written by comm"."""
        return f"{self.amounts[bar.value]} by {bar.label}"


def subject_of(shape: Shape, plots: Sequence[Plot]) -> Subject:
    """Return the names: a description's titles where it has them, else those of table and columns.

    A description titles its plots; other views of the same values share the title.
    """
    plots = [p for p in plots if p.title and p.table in ("", shape.table)]
    titles = {plot.kind: plot.title for plot in plots}
    table = _capitalized(_WRITTEN.get(shape.table, shape.table.replace("_", " ")))
    measure = titles.get("histogram") or titles.get("heatmap") or _measure(shape, table)
    measure = measure.removesuffix(" over time")
    is_histogram = shape.measure is not None and shape.measure.kind == "slot"
    rows, events = table, table
    if shape.is_map:  # its table is named for groups or values, not for the events that it counts
        summed = {p.value: _BY.sub("", p.title) for p in plots if p.value}
        rows = (
            measure if is_histogram else next(iter(summed.values())) if len(summed) == 1 else table
        )
        counted = "" if is_histogram else _amount(Grouping("", shape.amount), shape, plots)
        events = counted or f"{rows if is_histogram else table}: {shape.noun_of(shape.amount)}"
    return Subject(
        rows=rows,
        events=events,
        measure=measure,
        stacks=titles.get("flamegraph") or table,
        amounts={bar.value: _amount(bar, shape, plots) or events for bar in shape.bars},
    )


def _amount(bar: Grouping, shape: Shape, plots: Sequence[Plot]) -> str:
    """Return the title of a plot that adds up the same column; "" for none."""
    found = [
        plot.title
        for plot in plots
        if plot.kind in ("bars", "flamegraph") and (plot.value or shape.amount) == bar.value
    ]
    if not found:
        return ""
    title = _BY.sub("", found[0])
    samples = shape.noun_of(bar.value) == "samples" and "samples" not in title.lower()
    return f"{title} (samples)" if samples else title


def _measure(shape: Shape, table: str) -> str:
    if shape.measure is None:
        return table
    column = units.label_of(shape.measure.name, shape.measure.unit)
    return table if table.lower() == column else f"{table}: {column}"


def _capitalized(text: str) -> str:
    return text[:1].upper() + text[1:]
