"""The grammar of hooks: what follows the kind in a hook's name, taken apart. Pure text.

Each function takes the whole name, its kind and the rest, and returns a ParsedHook. It raises
Malformed with the reason where the rest does not fit.
"""

from __future__ import annotations

import platform
import re
from collections.abc import Sequence
from dataclasses import dataclass

from kernelscope.errors import did_you_mean

SOFTWARE_EVENTS = {  # enum perf_sw_ids, include/uapi/linux/perf_event.h; bpftrace's names
    "cpu-clock": 0,
    "cpu": 0,
    "task-clock": 1,
    "page-faults": 2,
    "faults": 2,
    "context-switches": 3,
    "cs": 3,
    "cpu-migrations": 4,
    "minor-faults": 5,
    "major-faults": 6,
    "alignment-faults": 7,
    "emulation-faults": 8,
}
HARDWARE_EVENTS = {  # enum perf_hw_id
    "cpu-cycles": 0,
    "cycles": 0,
    "instructions": 1,
    "cache-references": 2,
    "cache-misses": 3,
    "branch-instructions": 4,
    "branches": 4,
    "branch-misses": 5,
    "bus-cycles": 6,
    "frontend-stalls": 7,
    "backend-stalls": 8,
    "ref-cycles": 9,
}
_UNITS_NS = {"s": 10**9, "ms": 10**6, "us": 10**3, "hz": 0}
_SYSCALL_PREFIX = {"x86_64": "__x64_sys_", "aarch64": "__arm64_sys_"}
_EVENT = re.compile(r"[A-Za-z0-9_-]+\Z", re.ASCII)
_FUNCTION = re.compile(r"[A-Za-z_$.][\w$.]*\Z", re.ASCII)
_SYMBOL = re.compile(r"[^\s:+]+\Z")
# A function as C++ and Rust write it: app::Worker::step(int), <job::Work as job::Burn>::burn
_READABLE = re.compile(r"[^\n]*(?:::|\()[^\n]*\Z")
_ITERATOR = re.compile(r"[a-z][a-z0-9_]*\Z")
_INTERFACE = re.compile(r"(?!\.{1,2}\Z)[^\s/:]{1,15}\Z")  # as dev_valid_name, net/core/dev.c


class Malformed(ValueError):  # noqa: N818 - always turned into an AttachError that shows an example
    """What is wrong with a hook's name, to follow `hook '...'`. matches: close names."""

    def __init__(self, why: str, matches: Sequence[str] = ()) -> None:
        super().__init__(why)
        self.matches = list(matches)


@dataclass(frozen=True)
class ParsedHook:
    """One hook, taken apart.

    kind: one of hook_kinds. spec: as it was written.
    name: event, function, symbol, USDT probe, iterator or interface.
    category: tracepoint category or USDT provider.
    target: library, path or "pid:N". offset: bytes into a function. address: a virtual address.
    period_ns: between samples; frequency: samples per second; count: events between samples.
    """

    kind: str
    spec: str
    name: str = ""
    category: str = ""
    target: str = ""
    offset: int = 0
    address: int | None = None
    period_ns: int = 0
    frequency: int = 0
    count: int = 0


def tracepoint(spec: str, kind: str, rest: str) -> ParsedHook:
    """CATEGORY:NAME."""
    category, _, name = rest.partition(":")
    if not _EVENT.match(category) or not _EVENT.match(name):
        raise Malformed("needs a category and a name")
    return ParsedHook(kind, spec, name=name, category=category)


def event(spec: str, kind: str, rest: str) -> ParsedHook:
    """A tracepoint's name alone."""
    if not _EVENT.match(rest):
        raise Malformed("needs the tracepoint's name alone, without its category")
    return ParsedHook(kind, spec, name=rest)


def function(spec: str, kind: str, rest: str) -> ParsedHook:
    """A kernel function; kprobe takes an offset."""
    name, plus, offset = rest.partition("+")
    if not _FUNCTION.match(name):
        raise Malformed(f"has {name!r} where a kernel function's name belongs")
    if plus and kind != "kprobe":
        raise Malformed("cannot have an offset: only kprobe and uprobe can")
    return ParsedHook(kind, spec, name=name, offset=_number(offset) if plus else 0)


def syscall(spec: str, kind: str, rest: str) -> ParsedHook:
    """A system call's name, for the kprobe on its function."""
    if not _EVENT.match(rest):
        raise Malformed(f"has {rest!r} where a system call's name belongs")
    return ParsedHook(kind, spec, name=syscall_symbol(rest))


def user(spec: str, kind: str, rest: str) -> ParsedHook:
    """TARGET:SYMBOL or TARGET:ADDRESS."""
    target, symbol = split_target(rest)
    if not target or not symbol or target == "pid":
        raise Malformed("needs a library or program, and a symbol")
    _check_target(target)
    if re.match(r"0[xX]", symbol):
        return ParsedHook(kind, spec, target=target, address=_number(symbol))
    if _READABLE.match(symbol):
        return ParsedHook(kind, spec, name=symbol, target=target)
    name, plus, offset = symbol.partition("+")
    if not _SYMBOL.match(name):
        raise Malformed(f"has {name!r} where a symbol belongs")
    if plus and kind != "uprobe":
        raise Malformed("cannot have an offset: a return has none")
    shift = _number(offset) if plus else 0
    return ParsedHook(kind, spec, name=name, target=target, offset=shift)


def split_target(rest: str) -> tuple[str, str]:
    """Split TARGET:SYMBOL; a symbol of C++ or Rust has "::" inside, a target no colon but pid:N."""
    if "::" not in rest:
        target, _, symbol = rest.rpartition(":")
        return target, symbol
    match = re.match(r"((?:pid:\d+|.+?)):(?!:)(.*)\Z", rest.replace("::", "\0\0"), re.DOTALL)
    if match is None:
        return "", rest
    return match[1].replace("\0", ":"), match[2].replace("\0", ":")


def usdt(spec: str, kind: str, rest: str) -> ParsedHook:
    """TARGET:[PROVIDER:]NAME."""
    of_process = re.match(r"(pid:[^:]*)(?::(.*))?\Z", rest)
    parts = [of_process[1], *(of_process[2] or "").split(":")] if of_process else rest.split(":")
    if len(parts) not in (2, 3) or not all(map(_SYMBOL.match, parts[1:])):
        raise Malformed("needs a library or program, and a probe's name")
    _check_target(parts[0])
    provider = parts[1] if len(parts) == 3 else ""
    return ParsedHook(kind, spec, name=parts[-1], category=provider, target=parts[0])


def _check_target(target: str) -> None:
    if target.startswith("pid:"):
        _number(target[4:])
    elif "/" in target and not target.startswith("/"):
        raise Malformed(f"has the path {target!r}, which does not begin with /")


def timed(spec: str, kind: str, rest: str) -> ParsedHook:
    """UNIT:NUMBER."""
    unit, _, number = rest.partition(":")
    if unit not in _UNITS_NS:
        raise Malformed(f"has {unit!r} where hz, s, ms or us belongs")
    value = _number(number)
    if unit == "hz":
        return ParsedHook(kind, spec, name=unit, frequency=value)
    period_ns = value * _UNITS_NS[unit]
    if period_ns >= 2**63:
        raise Malformed(f"has {number} {unit}, which is out of range")
    return ParsedHook(kind, spec, name=unit, period_ns=period_ns)


def counted(spec: str, kind: str, rest: str) -> ParsedHook:
    """EVENT:NUMBER."""
    events = SOFTWARE_EVENTS if kind == "software" else HARDWARE_EVENTS
    name, _, number = rest.partition(":")
    if name not in events:
        close = [f"{kind}:{event}" for event in did_you_mean(name, list(events))]
        raise Malformed(f"names no {kind} event; there are {', '.join(events)}", close)
    return ParsedHook(kind, spec, name=name, count=_number(number))


def iterator(spec: str, kind: str, rest: str) -> ParsedHook:
    """An iterator's name."""
    if not _ITERATOR.match(rest):
        raise Malformed(f"has {rest!r} where an iterator's name belongs")
    return ParsedHook(kind, spec, name=rest)


def interface(spec: str, kind: str, rest: str) -> ParsedHook:
    """A network interface's name."""
    if not _INTERFACE.match(rest):
        raise Malformed(f"has {rest!r} where a network interface's name belongs")
    return ParsedHook(kind, spec, name=rest)


def _number(text: str) -> int:
    try:
        value = int(text, 16 if text[:2].lower() == "0x" else 10)
    except ValueError:
        raise Malformed(f"has {text!r} where a number belongs") from None
    if not 0 < value < 2**63:
        raise Malformed(f"has {text}, which is out of range")
    return value


def syscall_symbol(name: str) -> str:
    """Return the kernel function of a system call (arch/*/include/asm/syscall_wrapper.h)."""
    return _SYSCALL_PREFIX.get(platform.machine(), "sys_") + name
