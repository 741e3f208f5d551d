"""How the kernel attaches a kind of hook: the record, and what all kinds share."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Optional

from kernelscope.agent.attach.kinds.kernel_view import KernelView
from kernelscope.agent.kernel import syscalls
from kernelscope.errors import AttachError, RunError, TargetError, did_you_mean
from kernelscope.protocol.hook_grammar import ParsedHook

ENOTSUPP = 524  # the kernel's own; errno has no name for it
_LOCKDOWN = Path("/sys/kernel/security/lockdown")


@dataclass(frozen=True)
class Attached:
    """A program attached to one hook.

    fds: closing them detaches it. events: perf events that links in `fds` keep open; closing one
    waits until no CPU can still be in the tracepoint, 20 ms and more, so it is left for last.
    """

    fds: tuple[int, ...]
    events: tuple[int, ...] = ()

    def close(self) -> None:
        """Detach, and close everything."""
        close_all((*self.events, *self.fds))


Hint = Callable[[ParsedHook, int], Optional[str]]


@dataclass(frozen=True)
class Attacher:
    """How programs are loaded for one kind of hook, and attached to it.

    program_type, attach_type: of BPF_PROG_LOAD.
    attach: attaches a program's fd. Raises OSError, AttachError or TargetError.
    check: returns if the hook can be attached here; else raises AttachError, TargetError or
        RequirementError with the reason and close matches.
    names: lists what a hook's name may continue with: (prefix, target, view).
    noun: what a hook's name names, for messages.
    btf_id: finds the kernel's type that the program is for; None where it needs none.
    verdict: what its programs must return to be observe-only; None where any value will do.
    hint: what to do about an errno; None where nothing is known.
    """

    program_type: int
    attach: Callable[[int, ParsedHook, KernelView], Attached]
    check: Callable[[Attacher, ParsedHook, KernelView], None]
    names: Callable[[str, str, KernelView], Iterable[str]]
    noun: str = "function"
    attach_type: int = 0
    btf_id: Optional[Callable[[str], Optional[int]]] = None
    verdict: Optional[int] = None
    hint: Hint = lambda _hook, _code: None

    def target(self, hook: ParsedHook) -> tuple[int, int, int]:
        """Return program type, expected attach type and BTF id. Raises AttachError."""
        identifier = 0 if self.btf_id is None else self.btf_id(hook.name)
        if identifier is None:
            raise AttachError(
                f"the kernel's type information has no {self.noun} {hook.name!r}",
                hook=hook.spec,
                matches=[],
            )
        return self.program_type, self.attach_type, identifier


def each(open_one: Callable[[Any], int], items: Iterable[object]) -> tuple[int, ...]:
    """Open an fd for each item; where one fails, close those opened and raise."""
    fds: list[int] = []
    try:
        for item in items:
            fds.append(open_one(item))  # noqa: PERF401 - those opened are needed to close them
    except BaseException:
        close_all(fds)
        raise
    return tuple(fds)


def close_all(fds: Sequence[int]) -> None:
    """Close fds, the last one first."""
    for fd in reversed(fds):
        os.close(fd)


def refusal(attacher: Attacher, hook: ParsedHook, error: OSError) -> RunError:
    """Return the error for the kernel's refusal to attach."""
    code = error.errno or 0
    if code == errno.ESRCH:
        return TargetError(
            f"the process that {hook.spec!r} names has ended", target=hook.target, errno=code
        )
    name = errno.errorcode.get(code, str(code))
    return AttachError(
        f"the kernel refused the hook {hook.spec!r}: {os.strerror(code).lower()} ({name})",
        hint=attacher.hint(hook, code) or _hint(code),
        hook=hook.spec,
        matches=[],
        errno=code,
    )


def _hint(code: int) -> str | None:
    if code in (errno.EPERM, errno.EACCES):
        if os.geteuid() != 0:
            return "The agent lacks CAP_BPF or CAP_PERFMON: run it as root."
        if _locked_down():
            return "The kernel is locked down: boot without lockdown=confidentiality."
        return "This is no lack of privileges: the agent is root, and this kernel still refuses."
    if code == errno.EMFILE:
        return "Too many files are open: attach fewer hooks at once."
    if code in (errno.E2BIG, errno.ENOSPC):
        return "Too many programs are attached to it already: stop another tracer first."
    return None


def _locked_down() -> bool:
    try:
        return "[confidentiality]" in _LOCKDOWN.read_text(encoding="ascii")
    except OSError:
        return False


def attach_for_a_moment(attacher: Attacher, hook: ParsedHook, view: KernelView) -> None:
    """Attach a program that does nothing, and detach it. Raises AttachError or TargetError."""
    program_type, attach_type, btf_id = attacher.target(hook)
    try:
        program, _ = syscalls.prog_load(
            program_type,
            syscalls.return_number(attacher.verdict or 0),
            name="ks_try",
            expected_attach_type=attach_type,
            attach_btf_id=btf_id,
        )
    except syscalls.ProgramLoadError as error:
        raise refusal(attacher, hook, error) from None
    try:
        attach_one(attacher, program, hook, view).close()
    finally:
        os.close(program)


def attach_one(attacher: Attacher, prog_fd: int, hook: ParsedHook, view: KernelView) -> Attached:
    """Attach one loaded program. Raises AttachError or TargetError."""
    try:
        return attacher.attach(prog_fd, hook, view)
    except OSError as error:
        raise refusal(attacher, hook, error) from None


def missing(
    hook: ParsedHook, name: str, what: str, known: Sequence[str], *, list_all: bool = False
) -> AttachError:
    """Return the error for a name that this kernel or machine does not have."""
    matches = did_you_mean(name, _near(name, known))
    hint = f"Did you mean {' or '.join(matches)}?" if matches else None
    if list_all and known:
        hint = f"{hint or ''} There are {', '.join(known)}.".strip()
    owner = "machine" if what == "network interface" else "kernel"
    return AttachError(
        f"this {owner} has no {what} {name!r}", hint=hint, hook=hook.spec, matches=matches
    )


def _near(name: str, known: Sequence[str]) -> Sequence[str]:
    """Keep a list of a hundred thousand names short enough to compare each one."""
    if len(known) < 5000:
        return known
    return [k for k in known if k[:3] == name[:3] and abs(len(k) - len(name)) < 8]
