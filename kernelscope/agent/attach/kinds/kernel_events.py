"""Tracepoints and kprobes: perf events in the kernel."""

from __future__ import annotations

import errno
from collections.abc import Iterable
from functools import partial

from kernelscope.agent.attach.kinds import perf_events
from kernelscope.agent.attach.kinds.base import Attacher, missing
from kernelscope.agent.attach.kinds.kernel_view import KernelView, kernel_functions
from kernelscope.agent.kernel import syscalls
from kernelscope.errors import AttachError, RequirementError
from kernelscope.protocol.hook_grammar import ParsedHook

# --- tracepoints ---------------------------------------------------------------------------------


def _open_tracepoint(hook: ParsedHook, view: KernelView) -> tuple[int, ...]:
    number = (view.events() / hook.category / hook.name / "id").read_text(encoding="ascii")
    attr = syscalls.perf_attr(syscalls.PERF_TYPE_TRACEPOINT, int(number), sample_period=1)
    # The program runs on every CPU, whichever the event is opened on (kernel/trace/bpf_trace.c).
    return (syscalls.perf_event_open(attr, -1, 0),)


def _check_tracepoint(_: Attacher, hook: ParsedHook, view: KernelView) -> None:
    events = view.events()
    try:
        if (events / hook.category / hook.name / "id").exists():
            return
    except PermissionError:
        raise RequirementError(
            f"{events} may not be read", hint="Run the agent as root.", requirement="tracefs"
        ) from None
    known = view.tracepoints(hook.category) or view.tracepoints()
    raise missing(hook, f"{hook.category}:{hook.name}", "tracepoint", known)


def _tracepoints(prefix: str, _: str, view: KernelView) -> Iterable[str]:
    category, colon, _ = prefix.partition(":")
    return view.tracepoints(category if colon and "/" not in category else "")


# --- kprobes -------------------------------------------------------------------------------------


def _open_kprobe(hook: ParsedHook, _: KernelView) -> tuple[int, ...]:
    name = hook.name.encode() + b"\0"
    is_return = hook.kind == "kretprobe"
    config = 1 << perf_events.pmu_shift("kprobe", "retprobe") if is_return else 0
    attr = syscalls.perf_attr(
        perf_events.pmu_type("kprobe"), config, config1=syscalls.address(name), config2=hook.offset
    )
    return (syscalls.perf_event_open(attr, -1, 0),)


def _check_kprobe(attacher: Attacher, hook: ParsedHook, view: KernelView) -> None:
    if not perf_events.has_pmu("kprobe"):
        raise AttachError(
            f"this kernel has no kprobes, which {hook.spec!r} needs",
            hint="It was built without them; use a tracepoint, rawtracepoint or tp_btf hook.",
            hook=hook.spec,
            matches=[],
        )
    try:
        attempt = partial(perf_events.open_for_a_moment, _open_kprobe, attacher, hook, view)
        view.try_once(hook, attempt)
    except AttachError as error:
        if error.details.get("errno") == errno.ENOENT:
            raise missing(hook, hook.name, "function", kernel_functions()) from None
        raise


def _functions(_prefix: str, _target: str, _view: KernelView) -> Iterable[str]:
    return kernel_functions()


def _syscalls(_prefix: str, _target: str, view: KernelView) -> Iterable[str]:
    start = "syscalls:sys_enter_"
    return [name[len(start) :] for name in view.tracepoints("syscalls") if name.startswith(start)]


def _hint(hook: ParsedHook, code: int) -> str | None:
    if code == errno.ENOENT:
        return "The kernel has no such function, or this hook is not part of it."
    if code == errno.EINVAL and hook.offset:
        return "The offset must be where an instruction starts."
    return None


def _kprobe(names: object = _functions) -> Attacher:
    return Attacher(
        syscalls.PROG_TYPE_KPROBE,
        partial(perf_events.attach, _open_kprobe),
        _check_kprobe,
        names,  # type: ignore[arg-type]
        hint=_hint,
    )


ATTACHERS = {
    "tracepoint": Attacher(
        syscalls.PROG_TYPE_TRACEPOINT,
        partial(perf_events.attach, _open_tracepoint),
        _check_tracepoint,
        _tracepoints,
        "tracepoint",
    ),
    "kprobe": _kprobe(),
    "kretprobe": _kprobe(),
    "syscall": _kprobe(_syscalls),
}
