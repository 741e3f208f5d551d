"""Raw tracepoints, BTF-typed tracepoints, and functions through trampolines (fentry, fexit)."""

from __future__ import annotations

import errno
from collections.abc import Iterable
from functools import partial

from kernelscope.agent.attach.kinds.base import Attached, Attacher, attach_for_a_moment, missing
from kernelscope.agent.attach.kinds.kernel_view import KernelView, kernel_functions
from kernelscope.agent.btf import ids
from kernelscope.agent.kernel import syscalls
from kernelscope.errors import AttachError
from kernelscope.protocol.hook_grammar import ParsedHook


def _attach_raw(prog_fd: int, hook: ParsedHook, _: KernelView) -> Attached:
    return Attached((syscalls.raw_tracepoint_open(prog_fd, hook.name),))


def _attach(prog_fd: int, _hook: ParsedHook, _view: KernelView) -> Attached:
    return Attached((syscalls.raw_tracepoint_open(prog_fd),))


def _check_event(attacher: Attacher, hook: ParsedHook, view: KernelView) -> None:
    try:
        view.try_once(hook, partial(attach_for_a_moment, attacher, hook, view))
    except AttachError as error:
        if _exists(error):
            raise
        raise missing(hook, hook.name, "tracepoint", view.raw_tracepoints()) from None


def _check_function(attacher: Attacher, hook: ParsedHook, view: KernelView) -> None:
    try:
        view.try_once(hook, partial(attach_for_a_moment, attacher, hook, view))
    except AttachError as error:
        if _exists(error):
            raise
        known = kernel_functions()
        if hook.name in known:
            raise _untyped(hook) from None
        raise missing(hook, hook.name, "function with type information", known) from None


def _exists(error: AttachError) -> bool:
    return error.details.get("errno") not in (None, errno.ENOENT)


def _untyped(hook: ParsedHook) -> AttachError:
    """The function exists, but BTF leaves out those that it found declared in different ways."""
    kind = "kprobe" if hook.kind == "fentry" else "kretprobe"
    return AttachError(
        f"the kernel's type information lacks the function {hook.name!r}",
        hint=f"It still exists: {kind}:{hook.name} needs no type information.",
        hook=hook.spec,
        matches=[f"{kind}:{hook.name}"],
    )


def _events(_prefix: str, _target: str, view: KernelView) -> Iterable[str]:
    return view.raw_tracepoints()


def _functions(_prefix: str, _target: str, _view: KernelView) -> Iterable[str]:
    return kernel_functions()


ATTACHERS = {
    "rawtracepoint": Attacher(
        syscalls.PROG_TYPE_RAW_TRACEPOINT, _attach_raw, _check_event, _events, "tracepoint"
    ),
    "tp_btf": Attacher(
        syscalls.PROG_TYPE_TRACING,
        _attach,
        _check_event,
        _events,
        "tracepoint",
        attach_type=syscalls.TRACE_RAW_TP,
        btf_id=ids.tracepoint,
    ),
    "fentry": Attacher(
        syscalls.PROG_TYPE_TRACING,
        _attach,
        _check_function,
        _functions,
        attach_type=syscalls.TRACE_FENTRY,
        btf_id=ids.function,
    ),
    "fexit": Attacher(
        syscalls.PROG_TYPE_TRACING,
        _attach,
        _check_function,
        _functions,
        attach_type=syscalls.TRACE_FEXIT,
        btf_id=ids.function,
    ),
}
