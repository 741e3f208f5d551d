"""Hooks that a user selects for a probe: `--function c:malloc`.

c:malloc                     a library's function, in every process (uprobe:c:malloc)
/path/to/file:f, pid:42:f    a function of any program or library, or of one process
vfs_read                     a function of the kernel (fentry, or kprobe if there is none)
tracepoint:sched:sched_switch, usdt:..., uprobe:...   any hook, by its full name
c:mem*, kprobe:vfs_*         all that match; ? stands for one character
c:malloc,c:free              several
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from kernelscope.protocol import hook_kinds, hook_spec
from kernelscope.protocol.program import Hook

_COMMA = re.compile(r",(?![^(]*\))")  # not between the parameters of a C++ function
_WILDCARD = re.compile(r"[*?]")


@dataclass(frozen=True)
class Hooks:
    """The selection. text: as given. each: for every hook, the specs to try in order."""

    text: str
    each: tuple[tuple[str, ...], ...]

    def __str__(self) -> str:
        return self.text

    def entries(self, function: str, fields: Sequence[str] = ()) -> Iterator[Hook]:
        """Yield the hooks for a C function. fields: of tracepoints' records, if it reads any."""
        for specs in self.each:
            record = hook_spec.split_kind(specs[0])[0] == "tracepoint"
            yield Hook(function, specs, fields=tuple(fields) if record else ())

    def returns(self, function: str) -> Iterator[Hook]:
        """Yield the hooks at the same functions' ends. Raises ValueError if there are none."""
        for specs in self.each:
            kinds = [hook_spec.split_kind(spec) for spec in specs]
            if any(not hook_kinds.KINDS[kind].returns for kind, _ in kinds):
                raise ValueError(f"{specs[0]} has no return: only functions have one")
            yield Hook(
                function, tuple(f"{hook_kinds.KINDS[kind].returns}:{rest}" for kind, rest in kinds)
            )


def read(value: object, kinds: Sequence[str]) -> Hooks:
    """Parse a selection. kinds: the kinds of hooks that are allowed.

    Raises ValueError, and AttachError for an invalid hook.
    """
    if not isinstance(value, str) or not value.strip():
        raise ValueError("names no function")
    items = [item.strip() for item in _COMMA.split(value)]
    each = tuple(_specs(item) for item in items)
    for spec in (spec for specs in each for spec in specs):
        kind = hook_spec.parse(_WILDCARD.sub("x", spec)).kind
        if kind not in kinds:
            raise ValueError(f"{kind} hooks cannot be used here; these can: {', '.join(kinds)}")
    return Hooks(value, each)


def _specs(item: str) -> tuple[str, ...]:
    if hook_spec.split_kind(item)[0]:
        return (item,)
    if ":" in item:
        return (f"uprobe:{item}",)
    # BTF lacks some functions: with a pattern, kprobes find more.
    kinds = ("kprobe", "fentry") if _WILDCARD.search(item) else ("fentry", "kprobe")
    return tuple(f"{kind}:{item}" for kind in kinds)
