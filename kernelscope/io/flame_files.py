"""Flame graphs as files: pages, folded stacks, speedscope profiles and pictures."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from kernelscope import units
from kernelscope.analysis import stack_tree
from kernelscope.analysis.stack_tree import Node
from kernelscope.errors import AnalysisError
from kernelscope.io import suffixes
from kernelscope.io.atomic_write import PathLike, write_bytes
from kernelscope.io.pictures import write_figure
from kernelscope.tables.attrs import KEY, receipt_of
from kernelscope.text import printable


def save(df: pd.DataFrame, path: PathLike, value: str | None = None, title: str = "") -> Path:
    """Write a flame graph to a file; the extension picks the format. Return the path.

    .html: a page of its own, with zoom and search. .folded: one stack per line, for flamegraph.pl.
    .speedscope.json: for speedscope. .pb.gz: for pprof. .svg, .png, .pdf: the picture. value: the
    column that is added up; by default the one of the probe. Raises AnalysisError for another
    extension and where the table has no stacks; ExportError.
    """
    kind = suffixes.of(Path(path))
    if kind is None or kind.shows not in ("stacks", "picture"):
        raise _unsupported(path, suffixes.showing("stacks", "picture"))
    if kind.shows == "stacks":
        return kind.writer()(df, path, value=value, title=title)
    from kernelscope.plotting import flamegraph  # matplotlib takes half a second to import

    return write_figure(flamegraph.draw(df, value or stack_tree.value_of(df), title), path)


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
    from kernelscope.plotting.caption import caption

    kind = suffixes.of(Path(path))
    title = title or flamegraph_diff.TITLE
    value = value or stack_tree.value_of(after)
    if kind is not None and kind.suffix == ".html":
        root = stack_tree.difference(before, after, value)
        text = pages.page(
            pages.data(root), title, value=value, caption=caption(after), receipt=receipt_of(after)
        )
        return write_bytes(path, text.encode("utf-8"))
    if kind is None or kind.shows != "picture":
        raise _unsupported(path, [".html", *suffixes.showing("picture")])
    return write_figure(flamegraph_diff.draw(before, after, value, title), path)


def _unsupported(path: PathLike, known: list[str]) -> AnalysisError:
    return AnalysisError(
        f"{Path(path).name}: unsupported flame graph format",
        hint=f"end the name with {', '.join(known[:-1])} or {known[-1]}",
        column=None,
    )


# --- one function for each format -----------------------------------------------------------------


def to_page(df: pd.DataFrame, path: PathLike, value: str | None = None, title: str = "") -> Path:
    """Write a page with zoom and search, which holds the receipt. Returns the path."""
    from kernelscope.plotting import flamegraph_page as pages
    from kernelscope.plotting.caption import caption

    value = value or stack_tree.value_of(df)
    text = pages.page(
        pages.data(stack_tree.tree(df, value)),
        title or stack_tree.title_of(df),
        value=value,
        caption=caption(df),
        receipt=receipt_of(df),
    )
    return write_bytes(path, text.encode("utf-8"))


def to_folded(
    df: pd.DataFrame,
    path: PathLike,
    value: str | None = None,
    title: str = "",  # noqa: ARG001  (the format has no place for it)
) -> Path:
    """Write one line per stack, for flamegraph.pl. Returns the path."""
    root = stack_tree.tree(df, value or stack_tree.value_of(df))
    return write_bytes(path, folded(root).encode("utf-8"))


def to_speedscope(
    df: pd.DataFrame, path: PathLike, value: str | None = None, title: str = ""
) -> Path:
    """Write a profile for speedscope, which holds the receipt. Returns the path."""
    value = value or stack_tree.value_of(df)
    root = stack_tree.tree(df, value)
    text = speedscope(root, title or stack_tree.title_of(df), value, receipt_of(df))
    return write_bytes(path, text.encode("utf-8"))


def folded(root: Node) -> str:
    """Return one line per stack: "outer;inner 12".

    Separators in a name are escaped: a thread called "a;b" is the one frame "a\\x3bb".
    """
    lines = (
        f"{';'.join(_one_frame(each.name) for each in path)} {own}"
        for path, own in stack_tree.paths(root)
    )
    return "".join(f"{line}\n" for line in lines)


def _one_frame(name: str) -> str:
    return printable(name).replace(";", "\\x3b")


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
