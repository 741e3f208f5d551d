"""The probes that a script names: which of them stand for the same thing."""

from __future__ import annotations

import re
from collections.abc import Iterable

_SKIP = re.compile(r'//[^\n]*|/\*.*?(?:\*/|\Z)|"(?:\\.|[^"\\])*"|#[^\n]*', re.DOTALL)
_TIMERS = ("begin", "end", "interval", "i", "profile", "p", "self")
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


def missing(script: str, skipped: Iterable[str], attached: int) -> list[str]:
    """Return the skipped attach points that no other one stands for.

    Those of blocks of which none was attached; all of them where nothing but timers was attached.
    attached: the number of probes that bpftrace set out to attach, with wildcards expanded.
    """
    names = list(skipped)
    points = [point for block in blocks(script) for point in block]
    timers = sum(point.partition(":")[0].lower() in _TIMERS for point in points)
    if names and len(names) >= attached - timers:
        return names
    found = [block for block in blocks(script) if set(names).issuperset(block)]
    return [point for block in found for point in block]
