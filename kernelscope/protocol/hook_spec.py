"""What a hook's name says: bpftrace's grammar, and BCC's naming of functions. Pure text.

    tracepoint:CATEGORY:NAME        rawtracepoint:NAME         tp_btf:NAME
    kprobe:FUNCTION[+OFFSET]        kretprobe:FUNCTION         syscall:NAME (its kprobe)
    fentry:FUNCTION                 fexit:FUNCTION
    uprobe:TARGET:SYMBOL[+OFFSET]   uprobe:TARGET:0xADDRESS    uretprobe:TARGET:SYMBOL
    usdt:TARGET:[PROVIDER:]NAME
    profile:hz|s|ms|us:N            interval:hz|s|ms|us:N
    software:EVENT:PERIOD           hardware:EVENT:PERIOD
    iter:NAME                       each object of a kind that there is: task, tcp, udp, ...
    xdp:INTERFACE                   tcx_ingress:INTERFACE      tcx_egress:INTERFACE

TARGET is a library's short name ("c"), a path, or "pid:N". INTERFACE is a network interface.
"""

from __future__ import annotations

import platform
import re
from collections.abc import Iterable
from dataclasses import dataclass

from kernelscope.errors import AttachError, did_you_mean
from kernelscope.protocol.program import Hook

_EXAMPLES = {
    "tracepoint": "tracepoint:sched:sched_switch",
    "rawtracepoint": "rawtracepoint:sched_switch",
    "tp_btf": "tp_btf:sched_switch",
    "kprobe": "kprobe:vfs_read",
    "kretprobe": "kretprobe:vfs_read",
    "syscall": "syscall:openat",
    "fentry": "fentry:vfs_read",
    "fexit": "fexit:vfs_read",
    "uprobe": "uprobe:c:malloc",
    "uretprobe": "uretprobe:c:malloc",
    "usdt": "usdt:/usr/bin/python3:function__entry",
    "profile": "profile:hz:49",
    "interval": "interval:s:1",
    "software": "software:page-faults:100",
    "hardware": "hardware:cpu-cycles:1000000",
    "iter": "iter:task",
    "xdp": "xdp:eth0",
    "tcx_ingress": "tcx_ingress:eth0",
    "tcx_egress": "tcx_egress:eth0",
}
_ALIASES = {
    "raw_tracepoint": "rawtracepoint",
    "kfunc": "fentry",
    "kretfunc": "fexit",
    "t": "tracepoint",
    "rt": "rawtracepoint",
    "k": "kprobe",
    "kr": "kretprobe",
    "f": "fentry",
    "fr": "fexit",
    "u": "uprobe",
    "ur": "uretprobe",
    "p": "profile",
    "i": "interval",
    "it": "iter",
}
KINDS = tuple(kind for kind in _EXAMPLES if kind != "syscall")

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
_FUNCTIONS = ("kprobe", "kretprobe", "fentry", "fexit")
_SYSCALL_WRAPPERS = ("sys_", "__x64_sys_", "__arm64_sys_", "__se_sys_", "__do_sys_", "ksys_")
_EVENT = re.compile(r"[A-Za-z0-9_-]+\Z", re.ASCII)
_FUNCTION = re.compile(r"[A-Za-z_$.][\w$.]*\Z", re.ASCII)
_SYMBOL = re.compile(r"[^\s:+]+\Z")
_ITERATOR = re.compile(r"[a-z][a-z0-9_]*\Z")
_INTERFACE = re.compile(r"(?!\.{1,2}\Z)[^\s/:]{1,15}\Z")  # as dev_valid_name, net/core/dev.c
_IMPLIED = {  # what BCC's macros and its _trace_autoload (src/python/bcc/__init__.py) use
    "kprobe": "kprobe",
    "kretprobe": "kretprobe",
    "tracepoint": "tracepoint",
    "raw_tracepoint": "rawtracepoint",
    "kfunc": "fentry",
    "kretfunc": "fexit",
}


@dataclass(frozen=True)
class ParsedHook:
    """One hook, taken apart.

    kind: one of KINDS. spec: as it was written.
    name: event, function, symbol, USDT probe, iterator or interface.
    category: tracepoint category or USDT provider.
    target: library, path or "pid:N". offset: bytes into a function. address: a virtual address.
    period_ns: between samples; frequency: samples a second; count: events between samples.
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


def parse(spec: str) -> ParsedHook:
    """Take a hook's name apart. Raises AttachError on what is not one."""
    kind, separator, rest = spec.partition(":")
    kind = _ALIASES.get(kind, kind)
    if kind not in _EXAMPLES:
        raise _unknown_kind(spec, kind)
    if not separator or not rest:
        raise _wrong(spec, kind, "names nothing to attach to")
    return _PARSERS[kind](spec, kind, rest)


def split_kind(spec: str) -> tuple[str, str]:
    """Return the kind, "" where `spec` begins with none, and what follows it."""
    word, colon, rest = spec.partition(":")
    kind = _ALIASES.get(word, word)
    return (kind, rest) if colon and kind in _EXAMPLES else ("", spec)


def is_pattern(spec: str) -> bool:
    """Tell whether a hook's name holds * or ?, and so stands for all that match it."""
    kind, rest = split_kind(spec)
    name = rest.rpartition(":")[2] if kind in ("uprobe", "uretprobe", "usdt") else rest
    return "*" in name or "?" in name


def of_pattern(hook: Hook) -> bool:
    """Tell whether a hook is one of many: where the kernel refuses it, the others still serve."""
    return any(is_pattern(spec) for spec in hook.any_of)


def _unknown_kind(spec: str, kind: str) -> AttachError:
    matches = did_you_mean(kind, [*_EXAMPLES, "kfunc", "kretfunc", "raw_tracepoint"])
    close = f"Did you mean {' or '.join(matches)}? " if matches else ""
    return AttachError(
        f"{spec!r} is not a hook: there is no kind {kind!r}",
        hint=f"{close}The kinds are {', '.join(_EXAMPLES)}.",
        hook=spec,
        matches=matches,
    )


def _wrong(spec: str, kind: str, why: str, matches: Iterable[str] = ()) -> AttachError:
    close = list(matches)
    hint = f"Did you mean {' or '.join(close)}?" if close else f"Write it as {_EXAMPLES[kind]}."
    return AttachError(f"hook {spec!r} {why}", hint=hint, hook=spec, matches=close)


def _tracepoint(spec: str, kind: str, rest: str) -> ParsedHook:
    category, _, name = rest.partition(":")
    if not _EVENT.match(category) or not _EVENT.match(name):
        raise _wrong(spec, kind, "needs a category and a name")
    return ParsedHook(kind, spec, name=name, category=category)


def _event(spec: str, kind: str, rest: str) -> ParsedHook:
    if not _EVENT.match(rest):
        raise _wrong(spec, kind, "needs the tracepoint's name alone, without its category")
    return ParsedHook(kind, spec, name=rest)


def _function(spec: str, kind: str, rest: str) -> ParsedHook:
    name, plus, offset = rest.partition("+")
    if not _FUNCTION.match(name):
        raise _wrong(spec, kind, f"has {name!r} where a kernel function's name belongs")
    if plus and kind != "kprobe":
        raise _wrong(spec, kind, "cannot have an offset: only kprobe and uprobe can")
    return ParsedHook(kind, spec, name=name, offset=_number(spec, kind, offset) if plus else 0)


def _syscall(spec: str, kind: str, rest: str) -> ParsedHook:
    if not _EVENT.match(rest):
        raise _wrong(spec, kind, f"has {rest!r} where a system call's name belongs")
    return ParsedHook("kprobe", spec, name=syscall_symbol(rest))


def _user(spec: str, kind: str, rest: str) -> ParsedHook:
    target, _, symbol = rest.rpartition(":")
    if not target or not symbol or target == "pid":
        raise _wrong(spec, kind, "needs a library or program, and a symbol")
    _check_target(spec, kind, target)
    if re.match(r"0[xX]", symbol):
        return ParsedHook(kind, spec, target=target, address=_number(spec, kind, symbol))
    name, plus, offset = symbol.partition("+")
    if not _SYMBOL.match(name):
        raise _wrong(spec, kind, f"has {name!r} where a symbol belongs")
    if plus and kind != "uprobe":
        raise _wrong(spec, kind, "cannot have an offset: a return has none")
    shift = _number(spec, kind, offset) if plus else 0
    return ParsedHook(kind, spec, name=name, target=target, offset=shift)


def _usdt(spec: str, kind: str, rest: str) -> ParsedHook:
    of_process = re.match(r"(pid:[^:]*)(?::(.*))?\Z", rest)
    parts = [of_process[1], *(of_process[2] or "").split(":")] if of_process else rest.split(":")
    if len(parts) not in (2, 3) or not all(map(_SYMBOL.match, parts[1:])):
        raise _wrong(spec, kind, "needs a library or program, and a probe's name")
    _check_target(spec, kind, parts[0])
    provider = parts[1] if len(parts) == 3 else ""
    return ParsedHook(kind, spec, name=parts[-1], category=provider, target=parts[0])


def _check_target(spec: str, kind: str, target: str) -> None:
    if target.startswith("pid:"):
        _number(spec, kind, target[4:])
    elif "/" in target and not target.startswith("/"):
        raise _wrong(spec, kind, f"has the path {target!r}, which does not begin with /")


def _timed(spec: str, kind: str, rest: str) -> ParsedHook:
    unit, _, number = rest.partition(":")
    if unit not in _UNITS_NS:
        raise _wrong(spec, kind, f"has {unit!r} where hz, s, ms or us belongs")
    value = _number(spec, kind, number)
    if unit == "hz":
        return ParsedHook(kind, spec, name=unit, frequency=value)
    return ParsedHook(kind, spec, name=unit, period_ns=value * _UNITS_NS[unit])


def _counted(spec: str, kind: str, rest: str) -> ParsedHook:
    events = SOFTWARE_EVENTS if kind == "software" else HARDWARE_EVENTS
    name, _, number = rest.partition(":")
    if name not in events:
        close = [f"{kind}:{event}" for event in did_you_mean(name, list(events))]
        raise _wrong(spec, kind, f"names no {kind} event; there are {', '.join(events)}", close)
    return ParsedHook(kind, spec, name=name, count=_number(spec, kind, number))


def _iterator(spec: str, kind: str, rest: str) -> ParsedHook:
    if not _ITERATOR.match(rest):
        raise _wrong(spec, kind, f"has {rest!r} where an iterator's name belongs")
    return ParsedHook(kind, spec, name=rest)


def _interface(spec: str, kind: str, rest: str) -> ParsedHook:
    if not _INTERFACE.match(rest):
        raise _wrong(spec, kind, f"has {rest!r} where a network interface's name belongs")
    return ParsedHook(kind, spec, name=rest)


def _number(spec: str, kind: str, text: str) -> int:
    try:
        value = int(text, 16 if text[:2].lower() == "0x" else 10)
    except ValueError:
        raise _wrong(spec, kind, f"has {text!r} where a number belongs") from None
    if not 0 < value < 2**63:
        raise _wrong(spec, kind, f"has {text}, which is out of range")
    return value


_PARSERS = {
    "tracepoint": _tracepoint,
    "rawtracepoint": _event,
    "tp_btf": _event,
    "kprobe": _function,
    "kretprobe": _function,
    "syscall": _syscall,
    "fentry": _function,
    "fexit": _function,
    "uprobe": _user,
    "uretprobe": _user,
    "usdt": _usdt,
    "profile": _timed,
    "interval": _timed,
    "software": _counted,
    "hardware": _counted,
    "iter": _iterator,
    "xdp": _interface,
    "tcx_ingress": _interface,
    "tcx_egress": _interface,
}


def syscall_symbol(name: str) -> str:
    """Return the kernel function of a system call (arch/*/include/asm/syscall_wrapper.h)."""
    return _SYSCALL_PREFIX.get(platform.machine(), "sys_") + name


def implied(function_names: Iterable[str]) -> list[Hook]:
    """Return the hooks that BCC's naming states: "kprobe__vfs_read", "tracepoint__a__b", ..."""
    hooks = []
    for function in function_names:
        prefix, separator, rest = function.partition("__")
        if separator and rest and prefix == "syscall":
            hooks.append(Hook(function, (f"syscall:{rest}",)))
        elif separator and rest and prefix in _IMPLIED:
            hooks.append(Hook(function, (f"{_IMPLIED[prefix]}:{_implied_name(prefix, rest)}",)))
    return hooks


def _implied_name(prefix: str, rest: str) -> str:
    if prefix == "tracepoint":
        return rest.replace("__", ":", 1)
    if prefix in ("kprobe", "kretprobe"):
        for wrapper in _SYSCALL_WRAPPERS[:3]:  # as BCC's fix_syscall_fnname
            if rest.startswith(wrapper):
                return syscall_symbol(rest[len(wrapper) :])
    return rest


def current_is_subject(hook: ParsedHook) -> bool:
    """Whether the hook fires in the context of the task that it is about.

    Only there may a task be left out by looking at the current one: a packet's arrival or a
    wake-up interrupts whichever task happens to run.
    """
    if hook.kind in ("uprobe", "uretprobe", "usdt", "profile", "software", "hardware"):
        return True
    if hook.kind == "tracepoint":
        return hook.category in ("syscalls", "raw_syscalls")
    if hook.name == "cap_capable":  # the tracepoint, or the function that it stands in
        return True
    if hook.kind in ("rawtracepoint", "tp_btf"):
        return hook.name in ("sys_enter", "sys_exit")
    return hook.kind in _FUNCTIONS and hook.name.startswith(_SYSCALL_WRAPPERS)
