"""Which views a run's tables allow, the one that its description proposes first."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from kernelscope.errors import ParameterError
from kernelscope.plotting import figure
from kernelscope.probe.model import Plot
from kernelscope.ui.live.counting.aggregate import Shape

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
    """One way to look at a table. kind: one of KINDS. label: what bars stand for."""

    kind: str
    table: str
    title: str
    label: str = ""


def offered(shapes: Mapping[str, Shape], plots: Sequence[Plot]) -> list[View]:
    """Return every view that the tables allow, without repetition."""
    found: dict[tuple[str, str, str], View] = {}
    for view in [*_proposed(shapes, plots), *_by_shape(shapes, plots)]:
        found.setdefault((view.kind, view.table, view.label), view)
    return list(found.values())


def chosen(views: Sequence[View], kind: str | None, label: str = "") -> View:
    """Return the view of a kind and label, or the first of that kind. Raises ParameterError."""
    found = [view for view in views if kind in (None, view.kind)]
    for view in found:
        if label in ("", view.label):
            return view
    if found:
        return found[0]
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
            label = ""
            if kind == "bars":
                labels = shapes[table].labels
                label = plot.x if plot.x in labels else labels[0]
            yield View(kind, table, plot.title or _title(kind, shapes[table], label), label)


def _by_shape(shapes: Mapping[str, Shape], plots: Sequence[Plot]) -> Iterator[View]:
    for table, shape in shapes.items():
        named = {p.kind: p.title for p in plots if p.title and p.table in ("", table)}
        heading = named.get("histogram") or named.get("heatmap") or ""
        for kind in _kinds(shape):
            for label in shape.labels if kind == "bars" else ("",):
                counted = named.get("bars") or named.get("flamegraph") or ""
                about = counted if kind == "bars" else heading
                yield View(kind, table, _title(kind, shape, label, about), label)


def _kinds(shape: Shape) -> list[str]:
    kinds = ["flamegraph"] if shape.stacks else []
    if shape.measure is not None:
        kinds += ["distribution", "heatmap", "percentiles"]
    if shape.labels:
        kinds.append("bars")
    return [*kinds, "throughput", "table"]


def _title(kind: str, shape: Shape, label: str, heading: str = "") -> str:
    """Return a title; heading: what a description calls the same numbers in another view."""
    measure = shape.measure
    name = figure.label_of(measure.name, measure.unit) if measure else ""
    table = shape.table.replace("_", " ")
    about = heading.removesuffix(" over time") or (table if table == name else f"{table}: {name}")
    title = {
        "distribution": about,
        "heatmap": f"{about} over time",
        "percentiles": f"{about}: percentiles over time",
        "bars": f"{heading or table} by {label}",
        "throughput": f"{table} a second",
        "flamegraph": f"{table}: stacks",
        "table": f"{table}: the latest rows",
    }[kind]
    return title[:1].upper() + title[1:]
