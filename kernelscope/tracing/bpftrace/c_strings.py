"""String literals of a script, as the text that they stand for."""

from __future__ import annotations

import re

_SIMPLE = {
    "n": "\n", "t": "\t", "r": "\r", "a": "\a", "b": "\b", "f": "\f", "v": "\v", "e": "\x1b",
}  # fmt: skip
_ESCAPE = re.compile(r"\\(x[0-9a-fA-F]{1,2}|[0-7]{1,3}|(?s:.))")


def unescaped(literal: str) -> str:
    """Return the text of a literal in quotes; an unknown escape is the character itself.

    Escapes of bytes above 0x7f are read as UTF-8, as their output is.
    """
    inner = literal[1:-1] if len(literal) > 1 and literal.endswith('"') else literal[1:]
    raw = b"".join(_bytes(part) for part in _parts(inner))
    return raw.decode("utf-8", "replace")


def _parts(text: str) -> list[str]:
    return [part for part in re.split(r"(\\x[0-9a-fA-F]{1,2}|\\[0-7]{1,3}|\\(?s:.))", text) if part]


def _bytes(part: str) -> bytes:
    match = _ESCAPE.fullmatch(part)
    if match is None:
        return part.encode("utf-8", "surrogatepass")
    code = match[1]
    if code[0] == "x" and len(code) > 1:
        return bytes([int(code[1:], 16)])
    if code[0] in "01234567":
        return bytes([int(code, 8) & 0xFF])
    return _SIMPLE.get(code, code).encode("utf-8", "surrogatepass")
