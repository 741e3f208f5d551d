"""Expands the prelude's macros that call a table's methods (KS_COUNT, KS_BEGIN, ...).

BCC replaces the whole expansion of a macro when it rewrites a table's call in it, so such a macro
would lose everything but that call. Here it is expanded before BCC sees it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from functools import lru_cache

from kernelscope.protocol.c_tokens import Token, arguments, scan

_DEFINITION = re.compile(
    r"^#define[ \t]+(KS_\w+)\(([\w, \t]*)\)((?:[^\n]*\\\n)*[^\n]*)", re.MULTILINE
)
_MAX_DEPTH = 4  # a macro's argument may be a macro

_Macros = Mapping[str, tuple[tuple[str, ...], str]]


def expand(text: str, prelude: str) -> str:
    """Return the text with those macros expanded, each within its own lines."""
    macros = _table_macros(prelude)
    for _ in range(_MAX_DEPTH):
        tokens = scan(text) if any(name in text for name in macros) else []
        edits = list(_edits(text, tokens, macros))
        if not edits:
            break
        for start, end, replacement in reversed(edits):
            text = text[:start] + replacement + text[end:]
    return text


@lru_cache(maxsize=4)
def _table_macros(prelude: str) -> _Macros:
    """Return parameters and body of the macros that call a table's method, also indirectly."""
    found: dict[str, tuple[tuple[str, ...], str]] = {}
    for match in _DEFINITION.finditer(prelude):
        parameters = tuple(word.strip() for word in match[2].split(","))
        body = " ".join(match[3].replace("\\\n", " ").split())
        words = set(re.findall(r"\w+", body))
        if words & set(found) or any(
            re.search(rf"\b{name}\s*\.\s*\w+\s*\(", body) for name in parameters if name
        ):
            found[match[1]] = (parameters, body)
    return found


def _edits(text: str, tokens: Sequence[Token], macros: _Macros) -> list[tuple[int, int, str]]:
    edits: list[tuple[int, int, str]] = []
    for i, token in enumerate(tokens[:-1]):
        inside = bool(edits) and token.start < edits[-1][1]
        if token.text not in macros or tokens[i + 1].text != "(" or token.directive or inside:
            continue
        split = arguments(tokens, i + 1)
        parameters, body = macros[token.text]
        if split is None or len(split[0]) != len(parameters) or not all(split[0]):
            continue  # clang reports what is wrong with it
        given = {name: _on_one_line(part) for name, part in zip(parameters, split[0])}
        end = tokens[split[1]].end
        lines = "\n" * text.count("\n", token.start, end)
        edits.append((token.start, end, _substituted(body, given) + lines))
    return edits


def _on_one_line(part: Sequence[Token]) -> str:
    """Return an argument without line breaks and comments; `//` would hide what follows."""
    gaps = [" " * (before.end < token.start) for before, token in zip(part, part[1:])]
    return part[0].text + "".join(gap + token.text for gap, token in zip(gaps, part[1:]))


def _substituted(body: str, given: Mapping[str, str]) -> str:
    names = "|".join(map(re.escape, given))
    return re.sub(rf"\b({names})\b", lambda match: given[match[1]], body)
