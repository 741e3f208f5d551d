"""Text for terminals and notebooks: tables, HTML tables, and strings that are safe to print.

Standard library only.
"""

from __future__ import annotations

import shutil
import textwrap
from collections.abc import Iterable, Mapping, Sequence


def help_width() -> int:
    """Return how many characters a line of help may have: the terminal's width, at most 96."""
    return min(96, shutil.get_terminal_size((96, 24)).columns)


def printable(text: str, keep: str = "") -> str:
    r"""Return the text with characters that a terminal would act on shown as "\x1b", "\u202e", ...

    These are control, format, surrogate, private and unassigned characters, and separators other
    than the space. Processes choose such strings: names, paths, arguments, symbols.
    keep: characters that are left as they are, such as "\n" in a text of several lines.
    """
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() or c in keep else _escape(c) for c in text)


def _escape(character: str) -> str:
    return character.encode("unicode_escape").decode("ascii")


def table(headings: Sequence[str], rows: Sequence[Sequence[str]], width: int | None = None) -> str:
    """Return rows under headings as aligned text, the last column folded to the terminal."""
    width = width or help_width() + 1
    all_rows = [headings, *rows]
    widths = [max(len(row[i]) for row in all_rows) for i in range(len(headings) - 1)]
    indent = sum(widths) + 2 * len(widths)
    lines = []
    for row in all_rows:
        start = "  ".join(cell.ljust(w) for cell, w in zip(row, widths, strict=False))
        room = max(20, width - indent - 1)
        folded = textwrap.wrap(row[-1], room) or [""]
        lines.append(f"{start}  {folded[0]}".rstrip())
        lines += [" " * indent + more for more in folded[1:]]
    return "\n".join(lines)


def html_table(headings: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return rows (of ready HTML) under headings."""
    from html import escape  # its entities take 2 ms to import, and a terminal needs none

    align = 'style="text-align:left;vertical-align:top"'
    head = "".join(f"<th {align}>{escape(heading)}</th>" for heading in headings)
    body = "".join(
        "<tr>" + "".join(f"<td {align}>{cell}</td>" for cell in row) + "</tr>" for row in rows
    )
    return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def shortened(text: str, width: int) -> str:
    """Return the text, cut to that many characters with a mark where it is longer."""
    return text if len(text) <= width else f"{text[: width - 1]}…"


def without_middle(text: str, width: int) -> str:
    """Return the text, with a mark instead of its middle where it is longer than that."""
    if len(text) <= width:
        return text
    tail = (width - 1) * 2 // 3
    return f"{text[: width - 1 - tail]}…{text[-tail:]}"


def facts_html(title: str, facts: Mapping[str, str], hint: str) -> str:
    """Return facts as a small table with a hint below."""
    from html import escape

    rows = [[escape(name), escape(value)] for name, value in facts.items()]
    return html_table((title, ""), rows) + f"<small>{escape(hint)}</small>"
