"""Which views a run's tables allow, the one that its description proposes first."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from kernelscope import figure
from kernelscope.errors import ParameterError
from kernelscope.liveview.reduce import Shape
from kernelscope.probe import Plot

# A plot's kind in a description -> the view that shows it while it moves.
_OF_PLOT = {
    "histogram": "distribution",
    "heatmap": "heatmap",
    "percentiles": "percentiles",
    "bars": "bars",
    "timeseries": "throughput",
    "flamegraph": "flamegraph",
    "table": "table",
}
KINDS = tuple(_OF_PLOT.values())


@dataclass(frozen=True)
class View:
    """One way to look at a table. kind: one of KINDS."""

    kind: str
    table: str
    title: str


def offered(shapes: Mapping[str, Shape], plots: Sequence[Plot]) -> list[View]:
    """Return every view that the tables allow, without repetition."""
    found: dict[tuple[str, str], View] = {}
    for view in [*_proposed(shapes, plots), *_by_shape(shapes)]:
        found.setdefault((view.kind, view.table), view)
    return list(found.values())


def chosen(views: Sequence[View], kind: str | None) -> View:
    """Return the view of a kind, or the first. Raises ParameterError where there is none."""
    for view in views:
        if kind in (None, view.kind):
            return view
    raise ParameterError(
        f"there is no view {kind!r} of it",
        hint=f"there are: {', '.join(dict.fromkeys(view.kind for view in views))}",
        name="view",
        value=kind,
    )


def _proposed(shapes: Mapping[str, Shape], plots: Sequence[Plot]) -> Iterator[View]:
    for plot in plots:
        kind = _OF_PLOT.get(plot.kind, "")
        table = plot.table or next(iter(shapes), "")
        if table in shapes and kind in _kinds(shapes[table]):
            yield View(kind, table, plot.title or _title(kind, shapes[table]))


def _by_shape(shapes: Mapping[str, Shape]) -> Iterator[View]:
    for table, shape in shapes.items():
        for kind in _kinds(shape):
            yield View(kind, table, _title(kind, shape))


def _kinds(shape: Shape) -> list[str]:
    kinds = ["flamegraph"] if shape.stacks else []
    if shape.measure is not None:
        kinds += ["distribution", "heatmap", "percentiles"]
    if shape.label:
        kinds.append("bars")
    return [*kinds, "throughput", "table"]


def _title(kind: str, shape: Shape) -> str:
    measure = shape.measure
    name = figure.label_of(measure.name, measure.unit) if measure else ""
    table = shape.table.replace("_", " ")
    title = {
        "distribution": f"{table}: {name}",
        "heatmap": f"{table}: {name} over time",
        "percentiles": f"{table}: percentiles of {name}",
        "bars": f"{table} by {shape.label}",
        "throughput": f"{table} a second",
        "flamegraph": f"{table}: stacks",
        "table": f"{table}: the latest rows",
    }[kind]
    return title[:1].upper() + title[1:]
