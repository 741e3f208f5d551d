"""C tokens: enough of the language to rewrite a program without parsing it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple

_TOKEN = re.compile(
    r"""(?P<comment>//(?:\\\r?\n|[^\n])*|/\*(?s:.*?)(?:\*/|\Z))
    |(?P<string>"(?:\\(?s:.)|[^"\\\n])*"?|'(?:\\(?s:.)|[^'\\\n])*'?)
    |(?P<name>[A-Za-z_]\w*)
    |(?P<number>\.?\d(?:[eEpP][+-]|[\w.])*)
    |(?P<splice>\\\r?\n)
    |(?P<newline>\n)
    |(?P<space>[ \t\r\f\v]+)
    |(?P<punct>->|\+\+|--|&&|\|\||<<|>>|[<>=!]=|.)""",
    re.X,
)
_OPENING = {"(": ")", "[": "]", "{": "}"}


class Token(NamedTuple):
    """One token: name, number, string, punct, or hash for a directive's #.

    directive: it is on a preprocessor line (a macro's body counts).
    """

    kind: str
    text: str
    start: int
    end: int
    directive: bool


def scan(text: str) -> list[Token]:
    """Return the tokens of `text`, without comments and white space."""
    tokens: list[Token] = []
    directive = False
    line_is_empty = True
    for match in _TOKEN.finditer(text):
        kind = match.lastgroup or "punct"
        if kind == "newline":
            directive, line_is_empty = False, True
        if kind in ("newline", "space", "comment", "splice"):
            continue
        if line_is_empty and match.group() == "#":
            directive, kind = True, "hash"
        line_is_empty = False
        tokens.append(Token(kind, match.group(), match.start(), match.end(), directive))
    return tokens


def names(tokens: Sequence[Token]) -> set[str]:
    """Return the identifiers among the tokens."""
    return {token.text for token in tokens if token.kind == "name"}


def closing(tokens: Sequence[Token], opening: int) -> int | None:
    """Return where the bracket opened at `opening` closes, None if it does not."""
    stack: list[str] = []
    for i in range(opening, len(tokens)):
        text = tokens[i].text if tokens[i].kind == "punct" else ""
        if text in _OPENING:
            stack.append(_OPENING[text])
        elif text in (")", "]", "}"):
            if not stack or stack.pop() != text:
                return None
            if not stack:
                return i
    return None


def arguments(tokens: Sequence[Token], opening: int) -> tuple[list[Sequence[Token]], int] | None:
    """Split a call's arguments; `opening` is its "(". Returns them and where the ")" is."""
    end = closing(tokens, opening)
    if end is None:
        return None
    found: list[Sequence[Token]] = []
    depth, begin = 0, opening + 1
    for i in range(opening + 1, end):
        text = tokens[i].text if tokens[i].kind == "punct" else ""
        if text in _OPENING:
            depth += 1
        elif text in (")", "]", "}"):
            depth -= 1
        elif text == "," and depth == 0:
            found.append(tokens[begin:i])
            begin = i + 1
    if begin < end or found:
        found.append(tokens[begin:end])
    return found, end


def spelling(tokens: Sequence[Token]) -> str:
    """Return the tokens as text, one space apart."""
    return " ".join(token.text for token in tokens)
