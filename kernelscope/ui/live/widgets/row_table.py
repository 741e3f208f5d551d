"""The latest rows of a table, as HTML and as a DataFrame to keep."""

from __future__ import annotations

import html
from typing import TYPE_CHECKING

import pandas as pd

from kernelscope.tables.assemble import is_amount
from kernelscope.tables.results import Tables
from kernelscope.text import shortened
from kernelscope.ui.live.tracer import Tracer

if TYPE_CHECKING:
    from collections.abc import Sequence

    from kernelscope.plotting.theme import Theme
    from kernelscope.probe.model import Column

SHOWN = 100
_SEARCHED = 2000  # records that are sorted and filtered
_CELL = 80
_NOT_ADDITIVE = ("min", "max", "first", "last")


def latest(tracer: Tracer, table: str) -> pd.DataFrame:
    """Return a table's latest records, the newest first; of a map, its counts."""
    if tracer.run is None or tracer.run.stream.collector is None:
        return pd.DataFrame()
    frame = tracer.run.stream.collector.latest(table, _SEARCHED)
    if tracer.run.stream.is_map(table):
        return since(frame, tracer.baseline.get(table), tracer.run.stream.describe(table)[1])
    return frame[::-1]


def arranged(frame: pd.DataFrame, sort: str = "", words: str = "") -> pd.DataFrame:
    """Return the rows that contain all words, sorted by a column; "-" before it: largest first.

    A word may be in any column, in any case.
    """
    for word in words.lower().split():
        columns = [frame[name].astype("str").str.lower() for name in frame.columns]
        there = [column.str.contains(word, regex=False, na=False) for column in columns]
        if there:
            frame = frame[pd.concat(there, axis=1).any(axis=1)]
    name = sort.removeprefix("-")
    if name in frame.columns:
        frame = frame.sort_values(name, ascending=not sort.startswith("-"), kind="stable")
    return frame


def as_html(frame: pd.DataFrame, theme: Theme, size: tuple[int, int], title: str) -> str:
    """Return the first rows as an HTML table that scrolls in a box of that size."""
    width, height = size
    shown = frame.head(SHOWN)
    numbers = {str(n) for n in frame.columns if pd.api.types.is_numeric_dtype(frame[n])}
    cell = f"padding:1px 8px;border-bottom:1px solid {theme.grid};white-space:nowrap"
    head = "".join(
        f'<th style="{cell};position:sticky;top:0;background:{theme.face};'
        f'text-align:{"right" if str(name) in numbers else "left"}">{html.escape(str(name))}</th>'
        for name in frame.columns
    )
    body = "".join(
        "<tr>"
        + "".join(
            f'<td style="{cell};text-align:{"right" if name in numbers else "left"}">'
            f"{html.escape(shortened(text, _CELL))}</td>"
            for name, text in zip(map(str, shown.columns), row, strict=True)
        )
        + "</tr>"
        for row in _texts(shown)
    )
    summary = f"{min(len(frame), SHOWN):,} of {len(frame):,} rows" if len(frame) else "no rows yet"
    return (
        f'<div style="width:{width}px;height:{height}px;overflow:auto;background:{theme.face};'
        f'color:{theme.ink};font:12px monospace;line-height:18px">'
        f'<div style="padding:6px 12px;position:sticky;left:0"><b style="font-family:sans-serif;'
        f'font-size:16px">{html.escape(title)}</b> &nbsp;{summary}</div>'
        f'<table style="border-spacing:0;margin:0 4px"><thead><tr>{head}</tr></thead>'
        f"<tbody>{body}</tbody></table></div>"
    )


def _texts(frame: pd.DataFrame) -> list[list[str]]:
    columns = []
    for name in frame.columns:
        column = frame[name]
        if pd.api.types.is_datetime64_any_dtype(column):
            columns.append(column.dt.strftime("%H:%M:%S.%f").fillna("").tolist())
        elif pd.api.types.is_float_dtype(column):
            columns.append([f"{value:,.6g}" for value in column.tolist()])
        else:
            columns.append([str(value) for value in column.tolist()])
    return [list(row) for row in zip(*columns, strict=True)]


def since(
    frame: pd.DataFrame, before: pd.DataFrame | None, columns: Sequence[Column]
) -> pd.DataFrame:
    """Return what a map counted since an earlier reading of it.

    Sums are subtracted. Minimum, maximum, first and last value stay as they are: they cannot be
    known for the time in between.
    """
    if before is None or not len(before):
        return frame
    amounts = [column.name for column in columns if _is_additive(column)]
    keys = [
        name
        for column in columns
        for name in map(str, frame.columns)
        if _belongs(name, column) and not column.field.startswith("value")
    ]
    if not amounts or not keys:
        return frame
    known = before.groupby(keys, dropna=False)[amounts].sum()
    index = pd.MultiIndex.from_frame(frame[keys]) if len(keys) > 1 else pd.Index(frame[keys[0]])
    earlier = known.reindex(index).fillna(0).to_numpy()
    result = frame.copy()
    for place, name in enumerate(amounts):
        less = frame[name] - earlier[:, place]
        left = less.where(less >= 0, frame[name])
        result[name] = left.astype(frame[name].dtype)
    result = result[(result[amounts] != 0).any(axis=1)].reset_index(drop=True)
    result.attrs.update(frame.attrs)
    return result


def _is_additive(column: Column) -> bool:
    return is_amount(column) and column.name.partition("_")[0] not in _NOT_ADDITIVE


def _belongs(name: str, column: Column) -> bool:
    """Return whether a DataFrame's column holds that column: a slot has two."""
    if column.kind != "slot":
        return name == column.name
    base = column.name.removesuffix(f"_{column.unit}")
    return name.startswith((f"{base}_low", f"{base}_high"))


def kept(tracer: Tracer, table: str) -> pd.DataFrame:
    """Return a table to keep: the window's records that are still there, or a map's counts.

    Its `attrs` hold the receipt. Raises the run's error where it failed before it started.
    """
    run = tracer.run
    if run is None:
        return pd.DataFrame()
    found = run.peek()
    frame: pd.DataFrame = found[table] if isinstance(found, Tables) else found
    if run.stream.is_map(table):
        return since(frame, tracer.baseline.get(table), run.stream.describe(table)[1])
    counter = tracer.counter
    if counter is None or "time" not in frame.columns:
        return frame
    newest = frame["time"].max()
    window = pd.Timedelta(counter.window_s, "s")
    start = max(pd.Timestamp(counter.start_ns, tz="UTC"), newest - window)
    result: pd.DataFrame = frame[frame["time"] >= start].reset_index(drop=True)
    result.attrs.update(frame.attrs)
    return result
