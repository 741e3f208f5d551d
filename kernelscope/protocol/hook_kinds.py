"""The kinds of hooks: one record each. `KINDS` is the registry.

A record has what both processes know of a kind: how its names are written and what its programs
see. How the kernel attaches it is the agent's part: agent/attach/kinds/.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from kernelscope.protocol import hook_grammar as grammar
from kernelscope.protocol.hook_grammar import ParsedHook

# What KS_PARAM(hook_context) gives, as kernelscope.h names it.
REGISTERS, ARGUMENTS, RECORD = 0, 1, 2

_NEWER_KERNEL = "a newer kernel from the distribution, then reboot"
_KPROBES = "a kernel built with CONFIG_KPROBES=y (every distribution's stock kernel is)"
_TRAMPOLINES = (
    "a kernel built with CONFIG_FUNCTION_TRACER=y and CONFIG_DYNAMIC_FTRACE_WITH_DIRECT_CALLS=y, "
    "and lockdown off"
)
_UPROBES = "a kernel built with CONFIG_UPROBE_EVENTS=y"
_COUNTERS = "a machine with hardware counters; a virtual one needs its host to pass them on"
_TRACEFS = "sudo mount -t tracefs tracefs /sys/kernel/tracing"
_SYSCALL_FUNCTIONS = ("sys_", "__x64_sys_", "__arm64_sys_", "__se_sys_", "__do_sys_", "ksys_")


def _always(_: ParsedHook) -> bool:
    return True


def _never(_: ParsedHook) -> bool:
    return False


def _syscall_tracepoint(hook: ParsedHook) -> bool:
    return hook.category in ("syscalls", "raw_syscalls")


def _syscall_event(hook: ParsedHook) -> bool:
    return hook.name in ("sys_enter", "sys_exit", "cap_capable")


def _syscall_function(hook: ParsedHook) -> bool:
    return hook.name.startswith(_SYSCALL_FUNCTIONS) or hook.name == "cap_capable"


@dataclass(frozen=True)
class HookKind:
    """One kind of hook.

    name: the text before the first colon; aliases: other words for it.
    grammar: takes apart what follows. example: a hook of this kind, for messages.
    tried: the hook that doctor tries, which every machine with bcc has; "" for none.
    fix: how to get this kind on a machine that lacks it.
    function_prefix: of C functions that BCC's naming attaches here ("kfunc" of kfunc__vfs_read).
    context: what its programs get as their argument: REGISTERS, ARGUMENTS or RECORD.
    returns: the kind that fires when the same function returns; "" for none.
    in_program: names a function or a probe of a user program, whose file comes first.
    of_interface: names a network interface, and sees packets alone.
    current_is_subject: whether a hook fires in the context of the task that it is about.
    filters: "process": --pid and the like apply; "ignored": it fires whatever task runs;
        "none": it has no process context, so they are errors.
    stands_for: the kind that it is parsed to, where it is only another way to write one.
    """

    name: str
    grammar: Callable[[str, str, str], ParsedHook]
    example: str
    tried: str = ""
    fix: str = _NEWER_KERNEL
    aliases: tuple[str, ...] = ()
    function_prefix: str = ""
    context: int = REGISTERS
    returns: str = ""
    in_program: bool = False
    of_interface: bool = False
    current_is_subject: Callable[[ParsedHook], bool] = _never
    filters: str = "process"
    stands_for: str = ""


_KINDS = (
    HookKind(
        "tracepoint",
        grammar.tracepoint,
        "tracepoint:sched:sched_switch",
        tried="tracepoint:sched:sched_switch",
        fix=_TRACEFS,
        aliases=("t",),
        function_prefix="tracepoint",
        context=RECORD,
        current_is_subject=_syscall_tracepoint,
    ),
    HookKind(
        "rawtracepoint",
        grammar.event,
        "rawtracepoint:sched_switch",
        tried="rawtracepoint:sched_switch",
        aliases=("raw_tracepoint", "rt"),
        function_prefix="raw_tracepoint",
        context=ARGUMENTS,
        current_is_subject=_syscall_event,
    ),
    HookKind(
        "tp_btf",
        grammar.event,
        "tp_btf:sched_switch",
        tried="tp_btf:sched_switch",
        context=ARGUMENTS,
        current_is_subject=_syscall_event,
    ),
    HookKind(
        "kprobe",
        grammar.function,
        "kprobe:vfs_read",
        tried="kprobe:vfs_read",
        fix=_KPROBES,
        aliases=("k",),
        function_prefix="kprobe",
        returns="kretprobe",
        current_is_subject=_syscall_function,
    ),
    HookKind(
        "kretprobe",
        grammar.function,
        "kretprobe:vfs_read",
        tried="kretprobe:vfs_read",
        fix=_KPROBES,
        aliases=("kr",),
        function_prefix="kretprobe",
        current_is_subject=_syscall_function,
    ),
    HookKind(
        "syscall",
        grammar.syscall,
        "syscall:openat",
        fix=_KPROBES,
        function_prefix="syscall",
        stands_for="kprobe",
    ),
    HookKind(
        "fentry",
        grammar.function,
        "fentry:vfs_read",
        tried="fentry:vfs_read",
        fix=_TRAMPOLINES,
        aliases=("kfunc", "f"),
        function_prefix="kfunc",
        context=ARGUMENTS,
        returns="fexit",
        current_is_subject=_syscall_function,
    ),
    HookKind(
        "fexit",
        grammar.function,
        "fexit:vfs_read",
        tried="fexit:vfs_read",
        fix=_TRAMPOLINES,
        aliases=("kretfunc", "fr"),
        function_prefix="kretfunc",
        context=ARGUMENTS,
        current_is_subject=_syscall_function,
    ),
    HookKind(
        "uprobe",
        grammar.user,
        "uprobe:c:malloc",
        tried="uprobe:c:getpid",
        fix=_UPROBES,
        aliases=("u",),
        returns="uretprobe",
        in_program=True,
        current_is_subject=_always,
    ),
    HookKind(
        "uretprobe",
        grammar.user,
        "uretprobe:c:malloc",
        tried="uretprobe:c:getpid",
        fix=_UPROBES,
        aliases=("ur",),
        in_program=True,
        current_is_subject=_always,
    ),
    HookKind(
        "usdt",
        grammar.usdt,
        "usdt:/usr/bin/python3:function__entry",
        tried="usdt:stdc++:libstdcxx:throw",
        fix=_UPROBES,
        in_program=True,
        current_is_subject=_always,
    ),
    HookKind(
        "profile",
        grammar.timed,
        "profile:hz:49",
        tried="profile:hz:49",
        aliases=("p",),
        current_is_subject=_always,
    ),
    HookKind(
        "interval",
        grammar.timed,
        "interval:s:1",
        tried="interval:s:1",
        aliases=("i",),
        filters="ignored",
    ),
    HookKind(
        "software",
        grammar.counted,
        "software:page-faults:100",
        tried="software:context-switches:1000",
        current_is_subject=_always,
    ),
    HookKind(
        "hardware",
        grammar.counted,
        "hardware:cpu-cycles:1000000",
        tried="hardware:cpu-cycles:1000000",
        fix=_COUNTERS,
        current_is_subject=_always,
    ),
    HookKind(
        "iter", grammar.iterator, "iter:task", tried="iter:task", aliases=("it",), filters="none"
    ),
    HookKind(
        "xdp", grammar.interface, "xdp:eth0", tried="xdp:lo", of_interface=True, filters="none"
    ),
    HookKind(
        "tcx_ingress",
        grammar.interface,
        "tcx_ingress:eth0",
        tried="tcx_ingress:lo",
        of_interface=True,
        filters="none",
    ),
    HookKind(
        "tcx_egress",
        grammar.interface,
        "tcx_egress:eth0",
        tried="tcx_egress:lo",
        of_interface=True,
        filters="none",
    ),
)
KINDS = {kind.name: kind for kind in _KINDS}


def find(word: str) -> HookKind | None:
    """Return the kind of that name or alias, None if there is none."""
    found = KINDS.get(word)
    return found or next((kind for kind in KINDS.values() if word in kind.aliases), None)


def of_function_prefix(prefix: str) -> HookKind | None:
    """Return the kind that BCC's naming of C functions means by a prefix, None for none."""
    kinds = KINDS.values()
    return next((kind for kind in kinds if prefix and prefix == kind.function_prefix), None)


def names() -> tuple[str, ...]:
    """Return the kinds that hooks are parsed to."""
    return tuple(name for name, kind in KINDS.items() if not kind.stands_for)


def words(*, longer_than: int = 0) -> list[str]:
    """Return every word that may precede a hook's first colon."""
    every = [word for kind in KINDS.values() for word in (kind.name, *kind.aliases)]
    return [word for word in every if len(word) > longer_than]
