"""Columns of a table as text, fitted to a terminal: which are shown, how wide, and what is cut."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from kernelscope.text import printable
from kernelscope.units import unit_of

if TYPE_CHECKING:
    import pandas as pd

_GAP = "  "
_LEAST = 12  # a text is not cut below this many characters
_LEAST_TAIL = 24  # nor a path or a stack, which loses its start
_STREAMED_COMM = 15  # TASK_COMM_LEN without its end
_STREAMED_TEXT = 6
_STREAMED_TAIL = 36
_DECIMALS = 3
# Hidden first where a table is too wide: these say less than the others.
_KEPT = ("pid", "comm", "path", "args", "count", "value")  # hidden last
_DETAILS = ("tid", "uid", "gid", "ppid", "cpu", "flags", "fd", "error", "truncated")


@dataclass(frozen=True)
class TextColumn:
    """One column as texts.

    number: right-aligned. whole: never cut, as numbers and times. tail: cut at the start, as paths
    and stacks. least: its width at least, for rows that are still to come.
    """

    name: str
    texts: tuple[str, ...]
    number: bool = False
    whole: bool = False
    tail: bool = False
    least: int = 0

    @property
    def width(self) -> int:
        """The width that shows it whole."""
        return max(len(self.name), self.least, *map(len, self.texts), 0)

    @property
    def narrowest(self) -> int:
        """The width below which it is not cut."""
        if self.whole:
            return self.width
        least = _LEAST_TAIL if self.tail else _LEAST
        return min(self.width, max(len(self.name), self.least, least))

    @property
    def is_constant(self) -> bool:
        """Whether two rows or more all have the same text."""
        return len(self.texts) > 1 and len(set(self.texts)) == 1


@dataclass(frozen=True)
class Fitted:
    """Columns with their widths, and what did not fit.

    same: hidden columns with the one text of all rows. hidden: other hidden columns. cut: whether
    texts are cut.
    """

    columns: tuple[TextColumn, ...]
    widths: tuple[int, ...]
    same: tuple[TextColumn, ...] = ()
    hidden: tuple[str, ...] = ()
    cut: bool = False

    def heading(self) -> str:
        """Return the line of names."""
        return self.line([column.name for column in self.columns])

    def lines(self) -> list[str]:
        """Return a line per row."""
        return [self.line(row) for row in zip(*(c.texts for c in self.columns), strict=True)]

    def line(self, texts: Iterable[str]) -> str:
        """Return one row's texts, cut and aligned."""
        cells = [
            text.rjust(width) if column.number else _cut(text, width, tail=column.tail).ljust(width)
            for column, width, text in zip(self.columns, self.widths, texts, strict=True)
        ]
        return _GAP.join(cells).rstrip()


def text_columns(df: pd.DataFrame, *, streaming: bool = False) -> list[TextColumn]:
    """Return the columns of a table as texts that are safe to print.

    Times lose their date if all are of one day. streaming: more rows follow, so floats have a fixed
    number of decimals, and times no date.
    """
    return [_column(df, index, streaming=streaming) for index in range(len(df.columns))]


def _column(df: pd.DataFrame, index: int, *, streaming: bool) -> TextColumn:
    name = printable(str(df.columns[index]))
    column: pd.Series[Any] = df.iloc[:, index]
    kind = column.dtype.kind
    if kind == "M":
        times = _times(column, date=not streaming)
        return TextColumn(name, times, whole=True, least=16 * streaming)
    if kind == "f":
        texts = _floats(column, _DECIMALS if streaming else None)
        return TextColumn(name, texts, number=True, whole=True, least=10 * streaming)
    values = ["" if value is None or value != value else value for value in column.tolist()]
    texts = tuple(printable(str(value)) for value in values)
    if kind in "iu":
        return TextColumn(name, texts, number=True, whole=True, least=7 * streaming)
    tail = "stack" in name or any(text.startswith("/") for text in texts)
    least = _STREAMED_TAIL if tail else _STREAMED_COMM if name == "comm" else _STREAMED_TEXT
    return TextColumn(name, texts, tail=tail, least=least * streaming)


def _times(times: pd.Series[Any], *, date: bool) -> tuple[str, ...]:
    of_one_day = times.dropna().dt.date.nunique() <= 1
    form = "%Y-%m-%d %H:%M:%S.%fZ" if date and not of_one_day else "%H:%M:%S.%fZ"
    return tuple(times.dt.strftime(form).fillna(""))


def _floats(column: pd.Series[Any], decimals: int | None) -> tuple[str, ...]:
    if decimals is None:
        texts = [f"{value:.{_DECIMALS}f}".rstrip("0") for value in column.dropna()]
        decimals = max((len(text.partition(".")[2]) for text in texts), default=0)
    return tuple("" if value != value else f"{value:.{decimals}f}" for value in column)


def fit(columns: Sequence[TextColumn], width: int) -> Fitted:
    """Fit columns to a width: cut the longest texts, then hide columns, details first."""
    shown = list(columns)
    same: list[TextColumn] = []
    hidden: list[str] = []
    while len(shown) > 1 and _least_width(shown) > width:
        column = _least_wanted(shown)
        shown.remove(column)
        if column.is_constant:
            same.append(column)
        else:
            hidden.append(column.name)
    widths = _filled(shown, _cut_widths(shown, width), width)
    cut = any(w < c.width for c, w in zip(shown, widths, strict=True))
    return Fitted(tuple(shown), tuple(widths), tuple(same), tuple(hidden), cut)


def _least_width(columns: Sequence[TextColumn]) -> int:
    return sum(column.narrowest for column in columns) + len(_GAP) * (len(columns) - 1)


def _least_wanted(columns: Sequence[TextColumn]) -> TextColumn:
    """Return the column to hide next; the first one stays."""
    others = columns[1:]
    constant = [column for column in others if column.is_constant]
    details = [column for column in others if column.name in _DETAILS]
    plain = [c for c in others if c.number and not unit_of(c.name) and c.name not in _KEPT]
    texts = [column for column in others if not column.number and column.name not in _KEPT]
    return (constant or details or plain or texts or others)[-1]


def _cut_widths(columns: Sequence[TextColumn], width: int) -> list[int]:
    """Return the widths of the columns; the longest texts are cut first."""
    widths = [column.width for column in columns]
    least = [column.narrowest for column in columns]
    over = sum(widths) + len(_GAP) * (len(columns) - 1) - width
    while over > 0:
        longer = [i for i in range(len(columns)) if widths[i] > least[i]]
        if not longer:
            break
        longest = max(longer, key=lambda i: widths[i])
        second = max((widths[i] for i in longer if i != longest), default=0)
        cut = min(over, max(1, widths[longest] - max(second, least[longest])))
        widths[longest] -= cut
        over -= cut
    return widths


def _filled(columns: Sequence[TextColumn], widths: list[int], width: int) -> list[int]:
    """Give the room that is left to the last path, where rows are still to come."""
    room = width - sum(widths) - len(_GAP) * (len(columns) - 1)
    growing = [i for i, column in enumerate(columns) if column.tail and column.least]
    if growing and room > 0:
        widths[growing[-1]] += room
    return widths


def _cut(text: str, width: int, *, tail: bool) -> str:
    if len(text) <= width:
        return text
    return f"…{text[len(text) - width + 1 :]}" if tail else f"{text[: width - 1]}…"


def without_rows(columns: Iterable[TextColumn]) -> list[TextColumn]:
    """Return the columns without their texts, as wide as rows that follow need."""
    return [replace(c, texts=(), least=c.least if c.tail else c.width) for c in columns]
