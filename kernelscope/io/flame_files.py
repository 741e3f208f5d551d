"""Flame graphs as files: pages, folded stacks, speedscope profiles and pictures."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from kernelscope import units
from kernelscope.analysis import stack_tree
from kernelscope.analysis.stack_tree import Node
from kernelscope.errors import AnalysisError
from kernelscope.io import tabular
from kernelscope.io.tabular import PathLike
from kernelscope.tables.attrs import KEY, receipt_of

_PICTURES = (".svg", ".png", ".pdf")


def save(df: pd.DataFrame, path: PathLike, value: str | None = None, title: str = "") -> Path:
    """Write a flame graph to a file; the extension picks the format. Return the path.

    .html: a page of its own, with zoom and search. .folded: one stack per line, for flamegraph.pl.
    .speedscope.json: for speedscope. .svg, .png, .pdf: the picture. value: the column that is added
    up; by default the one of the probe. A page and a speedscope profile hold the receipt. Raises
    AnalysisError for another extension and where the table has no stacks; ExportError.
    """
    from kernelscope.plotting import flamegraph_page as pages

    value = value or stack_tree.value_of(df)
    title = title or "Stacks"
    receipt = receipt_of(df)

    def root() -> Node:
        return stack_tree.tree(df, value)

    writers: dict[str, Callable[[], str]] = {
        ".html": lambda: pages.page(pages.data(root()), title, receipt=receipt),
        ".folded": lambda: folded(root()),
        ".speedscope.json": lambda: speedscope(root(), title, value, receipt),
    }
    target = Path(path)
    for suffix, write in writers.items():
        if target.name.endswith(suffix):
            return tabular.write_file(target, write().encode("utf-8"))
    if target.suffix not in _PICTURES:
        raise _unsupported(target, [*writers, *_PICTURES])
    from kernelscope.plotting import flamegraph  # matplotlib takes half a second to import

    return tabular.write_picture(flamegraph.draw(df, value, title), target)


def save_difference(
    before: pd.DataFrame,
    after: pd.DataFrame,
    path: PathLike,
    value: str | None = None,
    title: str = "",
) -> Path:
    """Write the differential flame graph of two tables: .html, .svg, .png or .pdf.

    Returns the path. Raises AnalysisError as `save` does; ExportError.
    """
    from kernelscope.plotting import flamegraph_diff
    from kernelscope.plotting import flamegraph_page as pages

    target = Path(path)
    title = title or flamegraph_diff.TITLE
    value = value or stack_tree.value_of(after)
    if target.suffix == ".html":
        root = stack_tree.difference(before, after, value)
        text = pages.page(pages.data(root), title, receipt=receipt_of(after))
        return tabular.write_file(target, text.encode("utf-8"))
    if target.suffix not in _PICTURES:
        raise _unsupported(target, [".html", *_PICTURES])
    figure = flamegraph_diff.draw(before, after, value, title)
    return tabular.write_picture(figure, target)


def _unsupported(path: Path, suffixes: list[str]) -> AnalysisError:
    return AnalysisError(
        f"{path.name}: unsupported flame graph format",
        hint=f"end the name with {', '.join(suffixes[:-1])} or {suffixes[-1]}",
        column=None,
    )


def folded(root: Node) -> str:
    """Return one line per stack: "outer;inner 12"."""
    lines = (
        f"{';'.join(each.name for each in path)} {own}" for path, own in stack_tree.paths(root)
    )
    return "".join(f"{line}\n" for line in lines)


def speedscope(
    root: Node, title: str, value: str = "count", receipt: Mapping[str, Any] | None = None
) -> str:
    """Return the stacks in speedscope's own format, as one sampled profile."""
    unit = units.LONG_NAMES.get(units.unit_of(value), "none")
    frames: dict[str, int] = {}
    samples, weights = [], []
    for path, own in stack_tree.paths(root):
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
            KEY: dict(receipt or {}),
            "shared": {"frames": [{"name": name} for name in frames]},
            "profiles": [profile],
        },
        default=str,
    )
