"""Tables for a terminal: as wide as it is, and what is left out is said."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING

from kernelscope.show import shortened

if TYPE_CHECKING:
    import pandas as pd

MOST_ROWS = 60
_NARROWEST = 12  # characters that a text keeps where the table is too wide


def table(df: pd.DataFrame, width: int) -> str:
    """Return a table's first rows as text at most `width` wide where that can be had.

    Times lose their date where they are all of one day. Texts are cut only where the table does not
    fit, the longest first; a table that is still too wide is folded, some columns below the others.
    """
    if not len(df):
        return f"nothing was seen (columns: {', '.join(map(str, df.columns))})"
    shown = df.head(MOST_ROWS).copy()
    texts = [name for name in shown.columns if shown[name].dtype == "str"]
    for name in shown.columns:
        if shown[name].dtype.kind == "M":
            shown[name] = _times(shown[name])
    cut = _fit(shown, texts, width)
    fits = _width(shown) <= width
    said = [shown.to_string(index=False, line_width=None if fits else width)]
    more = len(df) - len(shown)
    if more:
        said.append(f"… {more:,} more rows; --csv PATH keeps all")
    if cut:
        said.append(f"… texts are cut to fit {width} columns; --csv PATH keeps all")
    return "\n".join(said)


def _times(times: pd.Series) -> pd.Series:
    one_day = times.dropna().dt.date.nunique() <= 1
    texts: pd.Series = times.dt.strftime(
        "%H:%M:%S.%fZ" if one_day else "%Y-%m-%d %H:%M:%S.%fZ"
    ).fillna("")
    return texts


def _fit(shown: pd.DataFrame, texts: Sequence[str], width: int) -> bool:
    """Cut the longest texts until the table fits; returns whether any was cut."""
    lengths = {name: int(shown[name].str.len().max()) for name in texts}
    least = {name: max(_NARROWEST, len(name)) for name in texts}
    cut = False
    while (over := _width(shown) - width) > 0:
        wide = [name for name in texts if lengths[name] > least[name]]
        if not wide:
            return cut
        name = max(wide, key=lambda name: lengths[name])
        lengths[name] = max(least[name], lengths[name] - over)
        shown[name] = shown[name].map(partial(shortened, width=lengths[name]))
        cut = True
    return cut


def _width(shown: pd.DataFrame) -> int:
    return max(map(len, shown.to_string(index=False).splitlines()))
