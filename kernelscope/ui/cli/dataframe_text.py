"""Tables for a terminal, fitted to its width; what is left out is reported."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING

from kernelscope.text import shortened

if TYPE_CHECKING:
    import pandas as pd

MOST_ROWS = 60
_NARROWEST = 12  # a text is not cut below this many characters


def table(df: pd.DataFrame, width: int) -> str:
    """Return the first rows of a table as text, at most `width` wide where possible.

    Times lose their date if all are of one day. Texts are cut only if the table does not fit, the
    longest first; a table that is still too wide is folded, some columns below the others.
    """
    if not len(df):
        return f"no rows (columns: {', '.join(map(str, df.columns))})"
    shown = df.head(MOST_ROWS).copy()
    texts = [name for name in shown.columns if shown[name].dtype == "str"]
    for name in shown.columns:
        if shown[name].dtype.kind == "M":
            shown[name] = _times(shown[name])
    lengths = _lengths(shown, texts, width)
    for name, length in lengths.items():
        shown[name] = shown[name].map(partial(shortened, width=length))
    fits = _width(shown) <= width
    lines = [shown.to_string(index=False, line_width=None if fits else width)]
    more = len(df) - len(shown)
    if more:
        lines.append(f"… {more:,} more rows; --csv PATH keeps all")
    if lengths:
        lines.append(f"… texts are cut to fit {width} columns; --csv PATH keeps all")
    return "\n".join(lines)


def _times(times: pd.Series) -> pd.Series:
    one_day = times.dropna().dt.date.nunique() <= 1
    texts: pd.Series = times.dt.strftime(
        "%H:%M:%S.%fZ" if one_day else "%Y-%m-%d %H:%M:%S.%fZ"
    ).fillna("")
    return texts


def _lengths(shown: pd.DataFrame, texts: Sequence[str], width: int) -> dict[str, int]:
    """Return the lengths to which texts must be cut for the table to fit, the longest first."""
    whole = {name: int(shown[name].str.len().max()) for name in texts}
    longest = dict(whole)
    least = {name: max(_NARROWEST, len(name)) for name in texts}
    over = _width(shown) - width
    cut: dict[str, int] = {}
    while over > 0:
        wide = [name for name in texts if longest[name] > least[name]]
        if not wide:  # the table is folded: then longer texts fit
            return {name: width // 2 for name in texts if whole[name] > width // 2}
        name = max(wide, key=lambda name: longest[name])
        cut[name] = max(least[name], longest[name] - over)
        over -= longest[name] - cut[name]
        longest[name] = cut[name]
    return cut


def _width(shown: pd.DataFrame) -> int:
    return max(map(len, shown.to_string(index=False).splitlines()))
