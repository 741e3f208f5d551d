"""The probes that a script names: which of them stand for the same thing."""

from __future__ import annotations

import re
from collections.abc import Iterable

_SKIP = re.compile(r'//[^\n]*|/\*.*?(?:\*/|\Z)|"(?:\\.|[^"\\])*"|#[^\n]*', re.DOTALL)
_FILTER = re.compile(r"\s/.*", re.DOTALL)


def blocks(script: str) -> list[list[str]]:
    """Return the attach points of each block: `kprobe:a, kprobe:b /filter/ { ... }`."""
    text = _SKIP.sub(lambda match: " " * len(match[0]), script)
    found, depth, header = [], 0, ""
    for character in text:
        if character == "{":
            if depth == 0:
                points = [
                    point.strip() for point in _FILTER.sub("", f" {header.strip()}").split(",")
                ]
                found.append([point for point in points if point])
                header = ""
            depth += 1
        elif character == "}":
            depth -= 1
        elif depth == 0:
            header += character
    return found


def missing(script: str, skipped: Iterable[str]) -> list[str]:
    """Return the skipped attach points of blocks of which none was attached."""
    names = set(skipped)
    return [point for points in blocks(script) if names.issuperset(points) for point in points]
