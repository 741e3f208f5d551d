"""bpftrace's lines of JSON, read as it meant them.

It writes text byte by byte: "é" is two escapes \\uffffffc3 and \\uffffffa9, which JSON reads as
something else. Some values, those of strftime and cgroup_path, have no quotes. Equal keys of a map,
as stacks of several processes are, occur more than once; all of them count.

Source: src/output.cpp of bpftrace.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import Any

_BYTES = re.compile(r"(?<!\\)((?:\\\\)*)((?:\\uffffff[0-9a-f]{2})+)")
_BYTE = re.compile(r"\\uffffff([0-9a-f]{2})")
# A string, or unquoted text between JSON's punctuation.
_VALUE = re.compile(r'"(?:\\.|[^"\\])*"|[^\s{}\[\],:"][^{}\[\],"]*')
_MAP = re.compile(r'"(@\w*)"')


@dataclass(frozen=True)
class Message:
    """One message. data: its value; of a map, a list of (key, value) pairs where it has keys."""

    kind: str
    data: Any
    at_ns: int = 0


class Pairs(list[tuple[str, Any]]):
    """A JSON object that keeps equal keys apart."""

    def first(self, key: str, default: Any = None) -> Any:
        """Return the value of the first pair with that key."""
        return next((value for name, value in self if name == key), default)


def parse(line: str, at_ns: int = 0) -> Message | None:
    """Return the line's message; None for an empty line. Raises ValueError for what is not JSON."""
    if not line.strip():
        return None
    text = _BYTES.sub(_utf8, line)
    try:
        found = _loads(text)
    except ValueError:
        found = _loads(_VALUE.sub(_quoted, text))
    if not isinstance(found, Pairs):
        raise ValueError("not an object")
    return Message(str(found.first("type", "")), found.first("data"), at_ns)


def plain(value: Any) -> Any:
    """Return a number or a text as it is, a tuple or a record as text."""
    return printed(value) if isinstance(value, list) else value


def printed(value: Any) -> str:
    """Return a value as bpftrace prints it: (1, two), { .x = 1 }."""
    if isinstance(value, Pairs):
        return "{ " + ", ".join(f".{name} = {printed(part)}" for name, part in value) + " }"
    if isinstance(value, list):
        return f"({', '.join(printed(part) for part in value)})"
    return value if isinstance(value, str) else str(value)


def subject(line: str) -> str:
    """Return the map that a line is about, for a warning; "" where it names none."""
    match = _MAP.search(line)
    return match[1] if match else ""


def _loads(text: str) -> Any:
    try:
        return json.loads(text, strict=False, object_pairs_hook=Pairs)
    except RecursionError:
        raise ValueError("nested too deeply") from None


def _utf8(match: re.Match[str]) -> str:
    raw = bytes(int(byte, 16) for byte in _BYTE.findall(match[2]))
    return match[1] + raw.decode("utf-8", "replace")


def _quoted(match: re.Match[str]) -> str:
    text = match[0]
    if text.startswith('"'):
        return text
    try:
        json.loads(text)
    except ValueError:
        return json.dumps(text.strip())
    return text
