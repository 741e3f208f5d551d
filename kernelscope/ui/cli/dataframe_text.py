"""Tables for a terminal, fitted to its width; whatever is left out is reported."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kernelscope.text import printable
from kernelscope.ui.cli.columns import Fitted, fit, text_columns

if TYPE_CHECKING:
    import pandas as pd

MOST_ROWS = 60
_COUNTS = ("count", "value")


def table(df: pd.DataFrame, width: int, rows: int = MOST_ROWS) -> str:
    """Return the first rows of a table as text, at most `width` wide.

    A table without times is sorted by its counts. Long texts are cut, and columns that do not fit
    are hidden; lines below the table name them.
    """
    if not len(df):
        return f"no rows (columns: {', '.join(printable(str(name)) for name in df.columns)})"
    shown = largest_first(df).head(rows)
    fitted = fit(text_columns(shown), width)
    lines = [fitted.heading(), *fitted.lines()]
    more = len(df) - len(shown)
    if more:
        lines.append(f"… {more:,} more rows; --csv PATH keeps all")
    return "\n".join([*lines, *left_out(fitted, width)])


def largest_first(df: pd.DataFrame) -> pd.DataFrame:
    """Return a table of counts sorted by them; tables of events and of buckets as they are."""
    names = [str(name) for name in df.columns]
    ordered = any(df[name].dtype.kind == "M" or "_low" in name for name in names)
    by = next((n for n in names if n in _COUNTS and df[n].dtype.kind in "iuf"), None)
    if ordered or by is None:
        return df
    return df.sort_values(by, ascending=False, kind="stable")


def left_out(fitted: Fitted, width: int) -> list[str]:
    """Return lines that report hidden columns and cut texts."""
    lines = []
    if fitted.same:
        same = ", ".join(f"{column.name} {column.texts[0] or '(empty)'}" for column in fitted.same)
        lines.append(f"… the same in every row: {same}")
    if fitted.hidden:
        lines.append(f"… hidden to fit: {', '.join(fitted.hidden)}; --csv PATH keeps all")
    if fitted.cut:
        lines.append(f"… texts are cut to fit {width} columns; --csv PATH keeps all")
    return lines
