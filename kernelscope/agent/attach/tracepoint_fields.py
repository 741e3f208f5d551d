"""Where the fields of a tracepoint's record are, from its format in tracefs."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from kernelscope.errors import AttachError, did_you_mean
from kernelscope.protocol.hook_grammar import ParsedHook

_FIELD = re.compile(
    r"^\s*field:(?P<type>[^;]*?)(?P<name>\w+)(?P<array>\[[^\]]*\])?;"
    r"\s*offset:(?P<offset>\d+);\s*size:(?P<size>\d+);\s*signed:(?P<signed>[01]);",
    re.MULTILINE,
)
_OFFSETS, _SIZES = 0xFFFF, 0xFFFF
_SIGNED, _INLINE, _ELSEWHERE = 1 << 32, 1 << 33, 1 << 34


def params(names: Sequence[str], hook: ParsedHook, tracefs: Path) -> dict[str, int]:
    """Return hook_field_0, ...: the fields' places, as ks_field of kernelscope.h reads them.

    Raises AttachError if the tracepoint has no such field.
    """
    path = tracefs / "events" / hook.category / hook.name / "format"
    text = path.read_text(encoding="utf-8", errors="replace")
    known = {found["name"]: found for found in _FIELD.finditer(text)}
    for name in names:
        if name not in known:
            raise _missing(name, hook, [name for name in known if not name.startswith("common_")])
    return {f"hook_field_{i}": _place(known[name]) for i, name in enumerate(names)}


def _place(field: re.Match[str]) -> int:
    """Pack offset and size, and whether it is signed, or text inside or outside the record."""
    place = int(field["offset"]) & _OFFSETS | (int(field["size"]) & _SIZES) << 16
    if "__data_loc" in field["type"]:
        return place | _ELSEWHERE
    if field["array"]:
        return place | _INLINE
    return place | (_SIGNED if field["signed"] == "1" else 0)


def _missing(name: str, hook: ParsedHook, known: list[str]) -> AttachError:
    matches = did_you_mean(name, known)
    close = f"Did you mean {' or '.join(matches)}? " if matches else ""
    return AttachError(
        f"the tracepoint {hook.category}:{hook.name} has no field {name!r}",
        hint=f"{close}It has {', '.join(known) or 'none'}.",
        hook=hook.spec,
        matches=matches,
    )
