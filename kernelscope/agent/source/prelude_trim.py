"""Removes the parts of the prelude that a program does not use, so that they cost nothing.

Otherwise every program's header would contain all kernel structs that any macro names, and clang
would parse them for a program of three lines.
"""

from __future__ import annotations

import re
from functools import lru_cache

_ITEM = re.compile(
    r"^#define[ \t]+(?P<macro>\w+)(?:[^\n]*\\\n)*[^\n]*\n"
    r"|^struct (?P<tag>\w+) \{\n.*?^\};\n"
    r"|^KS_INLINE [^;{]*?\b(?P<function>\w+)\([^;{]*\)\s*\{\n.*?^\}\n",
    re.MULTILINE | re.DOTALL,
)
_COMMENT = re.compile(r"/\*.*?\*/", re.DOTALL)
_WORD = re.compile(r"[A-Za-z_]\w*")


def needed(prelude: str, body: str) -> str:
    """Return the prelude without the macros, structs and functions that `body` does not reach.

    Lines keep their numbers. Other text stays, and so does everything it mentions.
    """
    items, rest = _items(prelude)
    words = set(_WORD.findall(body)) | rest
    kept: set[int] = set()
    before = -1
    while before != len(kept):
        before = len(kept)
        for start, (name, mentioned) in items.items():
            if start not in kept and name in words:
                kept.add(start)
                words |= mentioned

    def blank(match: re.Match[str]) -> str:
        return match[0] if match.start() in kept else "\n" * match[0].count("\n")

    return _ITEM.sub(blank, prelude)


@lru_cache(maxsize=4)
def _items(prelude: str) -> tuple[dict[int, tuple[str, frozenset[str]]], frozenset[str]]:
    """Return each item by its start: its name and words; and the words between items."""
    found = {
        match.start(): (match[match.lastgroup or 0], _words(match[0]))
        for match in _ITEM.finditer(prelude)
    }
    return found, _words(_ITEM.sub("", prelude))


def _words(text: str) -> frozenset[str]:
    return frozenset(_WORD.findall(_COMMENT.sub("", text)))
