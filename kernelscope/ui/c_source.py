"""C source in colours: for a terminal, and for a notebook in its light and its dark theme."""

from __future__ import annotations

import html
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pygments.token import _TokenType

# Jupyter's own variables follow its theme; elsewhere a tone that is legible on white and on black.
_COLOURS = {
    "Comment": "var(--jp-mirror-editor-comment-color,#4b8a8a)",
    "Keyword": "var(--jp-mirror-editor-keyword-color,#2a8a3a)",
    "Literal.Number": "var(--jp-mirror-editor-number-color,#3a8a3a)",
    "Literal.String": "var(--jp-mirror-editor-string-color,#c25450)",
    "Name.Builtin": "var(--jp-mirror-editor-builtin-color,#2a8a3a)",
    "Name.Function": "var(--jp-mirror-editor-def-color,#4a7ae0)",
    "Operator": "var(--jp-mirror-editor-operator-color,#9a62d0)",
}


def c_in_colour(source: str) -> str:
    """Return C in the colours of a terminal."""
    from pygments import highlight
    from pygments.formatters import TerminalFormatter
    from pygments.lexers import CLexer

    return str(highlight(source, CLexer(), TerminalFormatter())).rstrip()


def c_html(source: str) -> str:
    """Return C as HTML whose colours follow the notebook's theme."""
    from pygments.lexers import CLexer

    parts = []
    for kind, text in CLexer().get_tokens(source.rstrip()):
        colour = _colour(kind)
        escaped = html.escape(text)
        parts.append(f'<span style="color:{colour}">{escaped}</span>' if colour else escaped)
    return "".join(parts)


def _colour(kind: _TokenType) -> str | None:
    while kind is not None and kind.parent is not None:
        if (name := str(kind).removeprefix("Token.")) in _COLOURS:
            return _COLOURS[name]
        kind = kind.parent
    return None
