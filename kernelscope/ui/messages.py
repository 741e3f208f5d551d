"""Errors and lost events as a reader sees them: text for a terminal, HTML for a notebook."""

from __future__ import annotations

import re
import textwrap

from kernelscope.errors import KernelScopeError
from kernelscope.text import printable


def loss_html(what: str, advice: str) -> str:
    """Return lost events, and what would help, as a box that is hard to overlook."""
    style = "border-left:4px solid #e6a700;padding:2px 10px;margin:4px 0"
    from html import escape

    text = f"<b>Lost events.</b> {escape(what)}."
    if advice:
        text += f"<br><small>{escape(advice)}</small>"
    return f'<div style="{style}">{text}</div>'


def loss_text(what: str, advice: str) -> str:
    """Return the same in one or two lines."""
    text = "\n  ".join(part for part in (f"LostEventsWarning: {what}", advice) if part)
    return printable(text, keep="\n")


def warning_text(note: str, lines_above: int = 0) -> str:
    """Return a warning about a program in one line; lines_above as for `error_text`."""
    return f"ProgramWarning: {_moved(note, lines_above)}"


def _moved(text: str, lines_above: int) -> str:
    """Count the lines of C that a warning names from the reader's first line."""
    return re.sub(r"\bline (\d+):", lambda m: f"line {int(m[1]) + lines_above}:", text)


def error_text(error: KernelScopeError, lines_above: int = 0) -> str:
    """Return an error in a few lines: what failed, the line of C with a caret, what to do.

    lines_above: how many lines the reader sees above the first line of the C.
    """
    number, text = error.details.get("line"), error.details.get("text")
    message = error.message
    place: list[str] = []
    if isinstance(number, int) and isinstance(text, str):
        message = _without_place(message, number)
        place = _place(number + lines_above, text, error.details.get("column"))
    parts = [f"{type(error).__name__}: {_moved(message, lines_above)}", *place]
    if error.hint:
        parts.append(textwrap.indent(_renumbered(error.hint, number, lines_above), "  "))
    if error.details.get("recorded"):
        parts.append("  (replayed from a recording; not tried on this machine)")
    return printable("\n".join(parts), keep="\n\t")


def _without_place(message: str, number: int) -> str:
    """Remove the number and text of the line: they follow as they are in the cell."""
    first = message.splitlines()[0]
    return first.removeprefix(f"line {number}: ").replace(f" at line {number}:", ":")


def _renumbered(hint: str, number: int | None, lines_above: int) -> str:
    """Number the lines that a hint names as the reader sees them; leave out the error's own."""
    return _moved(hint.removeprefix(f"line {number}: "), lines_above)


def _place(number: int, text: str, column: int | None) -> list[str]:
    margin = f"  {number:>4} | "
    lines = [f"{margin}{text.rstrip()}"]
    if column is not None:
        blank = "".join("\t" if c == "\t" else " " for c in text[: column - 1])
        lines.append(f"{' ' * (len(margin) - 2)}| {blank}^")
    return lines
