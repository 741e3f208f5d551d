"""The parts of a help page: paragraphs, tables, lists and code, each as text and as HTML."""

from __future__ import annotations

import html
import textwrap
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol

from kernelscope.text import help_width, html_table, table

_CODE = "overflow-x:auto;white-space:pre;border:1px solid #8884;padding:6px;line-height:1.25"


class Section(Protocol):
    """One part of a page. An empty text or HTML is left out."""

    def text(self) -> str:
        """Return it as lines for a terminal."""

    def html(self) -> str:
        """Return it as HTML that folds to the width of its cell."""


@dataclass(frozen=True)
class Paragraphs:
    """Prose; a blank line separates paragraphs."""

    words: str

    def text(self) -> str:
        """Return the paragraphs, folded."""
        return "\n\n".join(textwrap.fill(part, help_width()) for part in self._parts())

    def html(self) -> str:
        """Return a <p> per paragraph."""
        return "".join(f"<p>{html.escape(part)}</p>" for part in self._parts())

    def _parts(self) -> list[str]:
        return [" ".join(part.split()) for part in self.words.strip().split("\n\n") if part.strip()]


@dataclass(frozen=True)
class Rows:
    """A table under a title."""

    title: str
    headings: Sequence[str]
    rows: Sequence[Sequence[str]]

    def text(self) -> str:
        """Return the table, indented."""
        body = table(self.headings, self.rows, help_width() - 2)
        return f"{self.title}\n{textwrap.indent(body, '  ')}"

    def html(self) -> str:
        """Return the title and an HTML table."""
        cells = [[html.escape(cell) for cell in row] for row in self.rows]
        return f"<p><b>{html.escape(self.title)}</b></p>{html_table(self.headings, cells)}"


@dataclass(frozen=True)
class Bullets:
    """A list under a title."""

    title: str
    items: Iterable[str]

    def text(self) -> str:
        """Return an indented line or more for each item; "" without items."""
        lines = [
            textwrap.fill(item, help_width(), initial_indent="  - ", subsequent_indent="    ")
            for item in self.items
        ]
        return "\n".join([f"{self.title}:", *lines]) if lines else ""

    def html(self) -> str:
        """Return the title and a <ul>; "" without items."""
        items = "".join(f"<li>{html.escape(item)}</li>" for item in self.items)
        return f"<p><b>{html.escape(self.title)}</b></p><ul>{items}</ul>" if items else ""


@dataclass(frozen=True)
class Verbatim:
    """Lines whose breaks must stay: an example's table, a list of hooks."""

    title: str
    lines: str

    def text(self) -> str:
        """Return the title and the lines."""
        return f"{self.title}:\n{self.lines}"

    def html(self) -> str:
        """Return the title and a <pre> that scrolls sideways."""
        return f"<p><b>{html.escape(self.title)}</b></p>{code_html(html.escape(self.lines))}"


def code_html(markup: str) -> str:
    """Return ready markup as a block of code."""
    return f'<pre style="{_CODE}">{markup}</pre>'


def page_text(sections: Iterable[Section]) -> str:
    """Return the sections, a blank line between them."""
    return "\n\n".join(text for section in sections if (text := section.text()))


def page_html(sections: Iterable[Section]) -> str:
    """Return the sections one below the other."""
    return "".join(section.html() for section in sections)
