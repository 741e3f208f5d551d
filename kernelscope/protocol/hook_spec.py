"""Hooks by name: bpftrace's grammar, and BCC's naming of functions. Pure text.

    tracepoint:CATEGORY:NAME        rawtracepoint:NAME         tp_btf:NAME
    kprobe:FUNCTION[+OFFSET]        kretprobe:FUNCTION         syscall:NAME (its kprobe)
    fentry:FUNCTION                 fexit:FUNCTION
    uprobe:TARGET:SYMBOL[+OFFSET]   uprobe:TARGET:0xADDRESS    uretprobe:TARGET:SYMBOL
    usdt:TARGET:[PROVIDER:]NAME
    profile:hz|s|ms|us:N            interval:hz|s|ms|us:N
    software:EVENT:PERIOD           hardware:EVENT:PERIOD
    iter:NAME                       every existing object of a kind: task, tcp, udp, ...
    xdp:INTERFACE                   tcx_ingress:INTERFACE      tcx_egress:INTERFACE

TARGET is a library's short name ("c"), a path, or "pid:N". INTERFACE is a network interface.
"""

from __future__ import annotations

from collections.abc import Iterable

from kernelscope.errors import AttachError, did_you_mean
from kernelscope.protocol import hook_kinds
from kernelscope.protocol.hook_grammar import Malformed, ParsedHook, split_target, syscall_symbol
from kernelscope.protocol.program import Hook

_SYSCALL_WRAPPERS = ("sys_", "__x64_sys_", "__arm64_sys_")  # as BCC's fix_syscall_fnname


def parse(spec: str) -> ParsedHook:
    """Take a hook's name apart. Raises AttachError where it does not name one."""
    word, separator, rest = spec.partition(":")
    kind = hook_kinds.find(word)
    if kind is None:
        raise _unknown_kind(spec, word)
    try:
        if not separator or not rest:
            raise Malformed("names nothing to attach to")
        return kind.grammar(spec, kind.stands_for or kind.name, rest)
    except Malformed as error:
        matches = error.matches
        hint = f"Did you mean {' or '.join(matches)}?" if matches else ""
        raise AttachError(
            f"hook {spec!r} {error}",
            hint=hint or f"Write it as {kind.example}.",
            hook=spec,
            matches=matches,
        ) from None


def split_kind(spec: str) -> tuple[str, str]:
    """Return the kind's name ("" where `spec` starts with none) and what follows it."""
    word, colon, rest = spec.partition(":")
    kind = hook_kinds.find(word)
    return (kind.name, rest) if colon and kind is not None else ("", spec)


def is_pattern(spec: str) -> bool:
    """Return whether a hook's name has * or ? in it, and so stands for every match."""
    kind, rest = split_kind(spec)
    in_program = kind and hook_kinds.KINDS[kind].in_program
    name = split_target(rest)[1] if in_program else rest
    if "(" in name:
        return False  # a C++ function with its parameters: f(char*)
    return "*" in name or "?" in name


def of_pattern(hook: Hook) -> bool:
    """Return whether a hook is one of many: if the kernel refuses it, the others still work."""
    return any(is_pattern(spec) for spec in hook.any_of)


def current_is_subject(hook: ParsedHook) -> bool:
    """Whether the hook fires in the context of the task that it is about.

    Only then can a task be excluded by looking at the current one: a packet's arrival or a
    wake-up interrupts whichever task happens to run.
    """
    return hook_kinds.KINDS[hook.kind].current_is_subject(hook)


def _unknown_kind(spec: str, kind: str) -> AttachError:
    matches = did_you_mean(kind, hook_kinds.words(longer_than=2))
    close = f"Did you mean {' or '.join(matches)}? " if matches else ""
    return AttachError(
        f"{spec!r} is not a hook: there is no kind {kind!r}",
        hint=f"{close}The kinds are {', '.join(hook_kinds.KINDS)}.",
        hook=spec,
        matches=matches,
    )


def implied(function_names: Iterable[str]) -> list[Hook]:
    """Return the hooks that BCC's naming states: "kprobe__vfs_read", "tracepoint__a__b", ..."""
    hooks = []
    for function in function_names:
        prefix, separator, rest = function.partition("__")
        kind = hook_kinds.of_function_prefix(prefix)
        if separator and rest and kind is not None:
            hooks.append(Hook(function, (f"{kind.name}:{_implied_name(kind.name, rest)}",)))
    return hooks


def _implied_name(kind: str, rest: str) -> str:
    if kind == "tracepoint":
        return rest.replace("__", ":", 1)
    if kind in ("kprobe", "kretprobe"):
        for wrapper in _SYSCALL_WRAPPERS:
            if rest.startswith(wrapper):
                return syscall_symbol(rest[len(wrapper) :])
    return rest
