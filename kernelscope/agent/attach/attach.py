"""Attach loaded programs to their hooks. The result is fds alone: closing them detaches."""

from __future__ import annotations

import errno
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from threading import Thread
from typing import TYPE_CHECKING

from kernelscope.agent.attach.kinds import attacher_of
from kernelscope.agent.attach.kinds.base import ENOTSUPP, Attached, attach_one, close_all
from kernelscope.agent.attach.kinds.kernel_view import KernelView
from kernelscope.errors import AttachError, RunError
from kernelscope.protocol import hook_spec
from kernelscope.protocol.hook_grammar import ParsedHook
from kernelscope.protocol.program import Hook

if TYPE_CHECKING:
    from kernelscope.agent.attach.loader import Loaded

_CLOSERS = 32
# About one function, not all of a pattern's matches; EBADF: its program could not be loaded.
_REFUSALS = (
    errno.EADDRNOTAVAIL,
    errno.EBADF,
    errno.EBUSY,
    errno.EINVAL,
    errno.ENOENT,
    errno.EOPNOTSUPP,
    ENOTSUPP,
)


@dataclass(frozen=True)
class Attachment:
    """A function attached to one hook."""

    function: str
    spec: str
    attached: Attached


def attach(
    loaded: Loaded,
    bindings: Sequence[tuple[Hook, ParsedHook]],
    view: KernelView,
) -> list[Attachment]:
    """Attach every binding, in order; if one fails, none stays attached.

    Of a pattern's matches, the kernel may refuse one function and accept the next.

    Raises AttachError (hook, function, errno) or TargetError.
    """
    attachments: list[Attachment] = []
    try:
        refused: AttachError | None = None
        for fd, (hook, parsed) in zip(loaded.fds, bindings):
            try:
                attached = attach_one(attacher_of(parsed), fd, parsed, view)
            except AttachError as error:
                if not (hook_spec.of_pattern(hook) and error.details["errno"] in _REFUSALS):
                    raise
                refused = refused or error
                continue
            attachments.append(Attachment(hook.function, parsed.spec, attached))
        if refused is not None and not attachments:
            raise refused
    except BaseException as error:
        for attachment in reversed(attachments):
            attachment.attached.close()
        if isinstance(error, RunError):
            error.details["function"] = hook.function
        raise
    return attachments


def detach(attachments: Sequence[Attachment], then: Callable[[], object] = int) -> Thread:
    """Detach every program; a thread closes the perf events, empty by then, and calls `then`.

    Each detach waits until no CPU can still run the program (perf_event_detach_bpf_prog,
    kernel/trace/bpf_trace.c): some 30 ms, which parallel threads wait for only once. Closing an
    event takes as long again, and the next run's tracepoints wait for it (event_mutex,
    kernel/trace/trace_event_perf.c), so it starts at once. The process must not end before that
    thread does: if a fatal signal arrives while a user probe is closed, the kernel gives up and
    leaves its breakpoint behind ("leaking uprobe", kernel/events/uprobes.c).
    """
    fds = [fd for attachment in attachments for fd in attachment.attached.fds]
    events = [event for attachment in attachments for event in attachment.attached.events]
    shares = [fds[start::_CLOSERS] for start in range(min(len(fds), _CLOSERS))]
    closers = [Thread(target=close_all, args=(share,)) for share in shares[1:]]
    for closer in closers:
        closer.start()
    close_all(shares[0] if shares else ())
    for closer in closers:
        closer.join()

    def close_events() -> None:
        close_all(events)
        then()

    closing = Thread(target=close_events, daemon=True)
    closing.start()
    return closing
