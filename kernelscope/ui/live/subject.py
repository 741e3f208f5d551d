"""What a table is about, in the words of titles and of the list of views."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from kernelscope import units
from kernelscope.probe.model import Plot
from kernelscope.ui.live.counting.shape import Shape

_WRITTEN = {"ios": "I/Os"}


@dataclass(frozen=True)
class Subject:
    """Names for a table's parts.

    events: its rows, or what a map counts: "I/Os". measure: what its values are: "Disk latency".
    amount: what bars add up: "Bytes read and written". stacks: what a flame graph adds up.
    """

    events: str
    measure: str
    amount: str
    stacks: str


def subject_of(shape: Shape, plots: Sequence[Plot]) -> Subject:
    """Return the names: a description's titles where it has them, else those of table and columns.

    A description titles each plot; two views of the same values share a title.
    """
    titles = {p.kind: p.title for p in plots if p.title and p.table in ("", shape.table)}
    table = _capitalized(_WRITTEN.get(shape.table, shape.table.replace("_", " ")))
    column = units.label_of(shape.measure.name, shape.measure.unit) if shape.measure else ""
    measure = titles.get("histogram") or titles.get("heatmap") or ""
    if not measure:
        measure = table if table.lower() == column else f"{table}: {column}"
    amount = titles.get("bars") or titles.get("flamegraph") or table
    if shape.noun == "samples" and "samples" not in amount.lower():
        amount = f"{amount} (samples)"
    return Subject(
        events=table,
        measure=measure.removesuffix(" over time"),
        amount=amount,
        stacks=titles.get("flamegraph") or table,
    )


def _capitalized(text: str) -> str:
    return text[:1].upper() + text[1:]
