"""The views that a run's tables allow; the one that its probe's description proposes is first."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from kernelscope.errors import ParameterError
from kernelscope.probe.model import Plot
from kernelscope.ui.live.counting.shape import Grouping, Shape
from kernelscope.ui.live.subject import Subject, subject_of
from kernelscope.ui.live.views import PICTURES


@dataclass(frozen=True)
class View:
    """One way to look at a table.

    kind: one of `kinds()`. entry: its text in the list of views. bar: what its bars stand for.
    """

    kind: str
    table: str
    title: str
    entry: str
    bar: Grouping | None = None

    @property
    def label(self) -> str:
        """The column that bars stand for; "" for all other kinds."""
        return self.bar.label if self.bar else ""


@dataclass(frozen=True)
class _Kind:
    """What the list of views needs to know of a kind of view; pictures have the same as methods."""

    plot: str
    fits: Callable[[Shape], bool]
    title: Callable[[Subject, Grouping | None], str]
    entry: Callable[[Subject, Grouping | None], str]
    bars_of: Callable[[Shape], tuple[Grouping | None, ...]] = lambda _shape: (None,)


# The two kinds that widgets show without a picture.
_FLAMEGRAPH = _Kind(
    "flamegraph",
    fits=lambda shape: bool(shape.stacks),
    title=lambda subject, _: subject.stacks,
    entry=lambda subject, _: f"{subject.stacks}: flame graph",
)
_TABLE = _Kind(
    "table",
    fits=lambda _shape: True,
    title=lambda subject, _: f"{subject.rows}: latest rows",
    entry=lambda subject, _: f"{subject.rows}: latest rows",
)


def kinds() -> list[str]:
    """Return the kinds of views, which are the values of `--view`."""
    return list(_kinds())


def _kinds() -> dict[str, _Kind]:
    pictures = {
        name: _Kind(each.plot, each.fits, each.title, each.entry, each.bars_of)
        for name, each in PICTURES.items()
    }
    return {"flamegraph": _FLAMEGRAPH, **pictures, "table": _TABLE}


def offered(shapes: Mapping[str, Shape], plots: Sequence[Plot]) -> list[View]:
    """Return every view that the tables allow, each once, and no two with the same entry."""
    found: dict[tuple[str, str, Grouping | None], View] = {}
    for view in [*_proposed(shapes, plots), *_by_shape(shapes, plots)]:
        found.setdefault((view.kind, view.table, view.bar), view)
    views = list(found.values())
    entries = [view.entry for view in views]
    return [
        replace(view, entry=f"{view.entry} ({view.table})")
        if entries.count(view.entry) > 1
        else view
        for view in views
    ]


def chosen(views: Sequence[View], kind: str | None, label: str = "") -> View:
    """Return the view of a kind and label, or the first of that kind. Raises ParameterError."""
    found = [view for view in views if kind in (None, view.kind)]
    for view in found:
        if label in ("", view.label):
            return view
    if found:
        return found[0]
    raise ParameterError(
        f"no view {kind!r} fits this probe",
        hint=f"these do: {', '.join(dict.fromkeys(view.kind for view in views))}",
        name="view",
        value=kind,
    )


def _proposed(shapes: Mapping[str, Shape], plots: Sequence[Plot]) -> Iterator[View]:
    """Yield the views of a description's plots, with the titles that it gives them."""
    by_plot = {kind.plot: name for name, kind in _kinds().items()}
    for plot in plots:
        kind = by_plot.get(plot.kind, "")
        table = plot.table or next(iter(shapes), "")
        if table not in shapes or not kind or not _kinds()[kind].fits(shapes[table]):
            continue
        bars = _kinds()[kind].bars_of(shapes[table])
        value = plot.value or shapes[table].amount
        named = [bar for bar in bars if bar == Grouping(plot.x, value)]
        view = _view(kind, shapes[table], plots, named[0] if named else bars[0])
        yield replace(view, title=plot.title) if plot.title and (named or kind != "bars") else view


def _by_shape(shapes: Mapping[str, Shape], plots: Sequence[Plot]) -> Iterator[View]:
    for shape in shapes.values():
        for name, kind in _kinds().items():
            for bar in kind.bars_of(shape) if kind.fits(shape) else ():
                yield _view(name, shape, plots, bar)


def _view(name: str, shape: Shape, plots: Sequence[Plot], bar: Grouping | None) -> View:
    kind, subject = _kinds()[name], subject_of(shape, plots)
    return View(name, shape.table, kind.title(subject, bar), kind.entry(subject, bar), bar)
