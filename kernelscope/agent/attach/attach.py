"""Attach loaded programs to their hooks. All that comes of it is fds: closing them detaches."""

from __future__ import annotations

import errno
import fcntl
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from threading import Thread
from typing import TYPE_CHECKING, Any, Callable

from kernelscope.agent.attach import bpf_links, user_probe, user_targets
from kernelscope.agent.kernel import elf, syscalls
from kernelscope.errors import AttachError, RunError, TargetError
from kernelscope.protocol import hook_spec
from kernelscope.protocol.hook_spec import HARDWARE_EVENTS, SOFTWARE_EVENTS, ParsedHook
from kernelscope.protocol.program import Hook, Program

if TYPE_CHECKING:
    from kernelscope.agent.attach.loader import Loaded

TRACEFS = Path("/sys/kernel/tracing")
_PMU = Path("/sys/bus/event_source/devices")
_LOCKDOWN = Path("/sys/kernel/security/lockdown")
_CLOSERS = 32
_ENOTSUPP = 524  # of the kernel's own; errno has no name for it
# Of one function, not of all that a pattern matches; EBADF: its program could not be loaded.
_REFUSALS = (
    errno.EADDRNOTAVAIL,
    errno.EBADF,
    errno.EBUSY,
    errno.EINVAL,
    errno.ENOENT,
    errno.EOPNOTSUPP,
    _ENOTSUPP,
)
# Kernels before 5.15 have no links for perf events; they attach by ioctl.
_NO_LINKS = (errno.EINVAL, errno.EOPNOTSUPP, _ENOTSUPP)


@dataclass(frozen=True)
class Attached:
    """A program attached to one hook.

    fds: closing them detaches it. events: perf events that links in `fds` hold on to; closing one
    waits until no CPU can still be in the tracepoint, 20 ms and more, so it is left for last.
    """

    fds: tuple[int, ...]
    events: tuple[int, ...] = ()

    def close(self) -> None:
        """Detach, and close all there is."""
        _close((*self.events, *self.fds))


@dataclass(frozen=True)
class Attachment:
    """A function attached to one hook."""

    function: str
    spec: str
    attached: Attached


def attach(
    loaded: Loaded,
    bindings: Sequence[tuple[Hook, ParsedHook]],
    program: Program,
    tracefs: Path = TRACEFS,
) -> list[Attachment]:
    """Attach every binding, in order; where one fails, none stays.

    Of what a pattern matches, the kernel may refuse one function and take the next.

    Raises AttachError (hook, function, errno) or TargetError.
    """
    attachments: list[Attachment] = []
    try:
        refused: AttachError | None = None
        for fd, (hook, parsed) in zip(loaded.fds, bindings):
            try:
                attached = attach_one(fd, parsed, program.target_pid, tracefs)
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


def detach(attachments: Sequence[Attachment]) -> Thread:
    """Detach every program; the perf events that this leaves empty are closed by a thread.

    Each detaching waits until the program can run nowhere any more (perf_event_detach_bpf_prog,
    kernel/trace/bpf_trace.c); side by side those waits, of some 30 ms, are one. Closing an event
    then takes as long again, and the next run's tracepoints wait for it (event_mutex,
    kernel/trace/trace_event_perf.c), so it begins at once. The process must not end before that
    thread does: where a fatal signal meets the closing of a user probe, the kernel gives up and
    leaves its breakpoint behind ("leaking uprobe", kernel/events/uprobes.c).
    """
    fds = [fd for attachment in attachments for fd in attachment.attached.fds]
    events = [event for attachment in attachments for event in attachment.attached.events]
    shares = [fds[start::_CLOSERS] for start in range(min(len(fds), _CLOSERS))]
    closers = [Thread(target=_close, args=(share,)) for share in shares[1:]]
    for closer in closers:
        closer.start()
    _close(shares[0] if shares else ())
    for closer in closers:
        closer.join()
    closing = Thread(target=_close, args=(events,), daemon=True)
    closing.start()
    return closing


def attach_one(
    prog_fd: int, hook: ParsedHook, pid: int | None = None, tracefs: Path = TRACEFS
) -> Attached:
    """Attach one loaded program. Raises AttachError or TargetError."""
    try:
        if hook.kind in ("rawtracepoint", "tp_btf", "fentry", "fexit"):
            name = hook.name if hook.kind == "rawtracepoint" else None
            return Attached((syscalls.raw_tracepoint_open(prog_fd, name),))
        if hook.kind in bpf_links.KINDS:
            return Attached((bpf_links.attach(prog_fd, hook),))
        events = open_events(hook, pid, tracefs)
    except OSError as error:
        raise refusal(hook, error) from None
    try:
        return _attach_events(prog_fd, events)
    except OSError as error:
        _close(events)
        raise refusal(hook, error) from None


def _attach_events(prog_fd: int, events: tuple[int, ...]) -> Attached:
    try:
        attached = Attached(_each(lambda event: syscalls.perf_link(prog_fd, event), events), events)
    except OSError as error:
        if error.errno not in _NO_LINKS:
            raise
        for event in events:
            fcntl.ioctl(event, syscalls.PERF_EVENT_IOC_SET_BPF, prog_fd)
        attached = Attached(events)
    for event in events:
        fcntl.ioctl(event, syscalls.PERF_EVENT_IOC_ENABLE, 0)
    return attached


def open_events(hook: ParsedHook, pid: int | None, tracefs: Path) -> tuple[int, ...]:
    """Open the perf events that a hook consists of. Raises OSError, AttachError or TargetError."""
    if hook.kind == "tracepoint":
        return (_open_tracepoint(hook, tracefs),)
    if hook.kind in ("kprobe", "kretprobe"):
        return (_open_kprobe(hook),)
    if hook.kind in ("uprobe", "uretprobe", "usdt"):
        places = user_probe.places(hook, pid)
        process = user_targets.process_of(hook.target, pid)
        return _each(lambda place: _open_uprobe(hook, place, process), places)
    cpus = syscalls.online_cpus()
    attr = _counter(hook)
    return _each(
        lambda cpu: syscalls.perf_event_open(attr, -1, cpu),
        cpus[:1] if hook.kind == "interval" else cpus,
    )


def _each(open_one: Callable[[Any], int], items: Sequence[object]) -> tuple[int, ...]:
    fds: list[int] = []
    try:
        for item in items:
            fds.append(open_one(item))  # noqa: PERF401 - those opened are needed to close them
    except BaseException:
        _close(fds)
        raise
    return tuple(fds)


def _close(fds: Sequence[int]) -> None:
    for fd in reversed(fds):
        os.close(fd)


def _open_tracepoint(hook: ParsedHook, tracefs: Path) -> int:
    number = (tracefs / "events" / hook.category / hook.name / "id").read_text(encoding="ascii")
    attr = syscalls.perf_attr(syscalls.PERF_TYPE_TRACEPOINT, int(number), sample_period=1)
    # The program runs on every CPU, whichever the event is opened on (kernel/trace/bpf_trace.c).
    return syscalls.perf_event_open(attr, -1, 0)


def _open_kprobe(hook: ParsedHook) -> int:
    name = hook.name.encode() + b"\0"
    config = _pmu_bit("kprobe", "retprobe") if hook.kind == "kretprobe" else 0
    attr = syscalls.perf_attr(
        _pmu_type("kprobe"), config, config1=syscalls.address(name), config2=hook.offset
    )
    return syscalls.perf_event_open(attr, -1, 0)


def _open_uprobe(hook: ParsedHook, place: user_probe.Place, pid: int | None) -> int:
    file = elf.open_regular(place.path)
    try:
        # The fd pins the very file that was checked, in whatever mount namespace it is.
        path = f"/proc/self/fd/{file}".encode() + b"\0"
        config = _pmu_bit("uprobe", "retprobe") if hook.kind == "uretprobe" else 0
        if place.semaphore:
            config |= place.semaphore << _pmu_shift("uprobe", "ref_ctr_offset")
        attr = syscalls.perf_attr(
            _pmu_type("uprobe"), config, config1=syscalls.address(path), config2=place.offset
        )
        if pid is None:
            return syscalls.perf_event_open(attr, -1, 0)
        return syscalls.perf_event_open(attr, pid, -1)
    finally:
        os.close(file)


def _counter(hook: ParsedHook) -> bytes:
    if hook.kind == "hardware":
        event = HARDWARE_EVENTS[hook.name]
        return syscalls.perf_attr(syscalls.PERF_TYPE_HARDWARE, event, sample_period=hook.count)
    if hook.kind == "software":
        event = SOFTWARE_EVENTS[hook.name]
        return syscalls.perf_attr(syscalls.PERF_TYPE_SOFTWARE, event, sample_period=hook.count)
    # The software clock is there in every guest; hardware counters often are not.
    clock = syscalls.PERF_TYPE_SOFTWARE, syscalls.PERF_COUNT_SW_CPU_CLOCK
    if hook.frequency:
        return syscalls.perf_attr(*clock, sample_freq=hook.frequency)
    return syscalls.perf_attr(*clock, sample_period=hook.period_ns)


def _pmu_type(pmu: str) -> int:
    return int((_PMU / pmu / "type").read_text(encoding="ascii"))


def _pmu_shift(pmu: str, field: str) -> int:
    text = (_PMU / pmu / "format" / field).read_text(encoding="ascii")  # "config:32-63"
    return int(text.strip().partition(":")[2].partition("-")[0])


def _pmu_bit(pmu: str, field: str) -> int:
    return 1 << _pmu_shift(pmu, field)


def refusal(hook: ParsedHook, error: OSError) -> RunError:
    """Put the kernel's refusal to attach into words."""
    code = error.errno or 0
    if code == errno.ESRCH:
        return TargetError(
            f"the process that {hook.spec!r} names is gone", target=hook.target, errno=code
        )
    name = errno.errorcode.get(code, str(code))
    return AttachError(
        f"the kernel refused the hook {hook.spec!r}: {os.strerror(code).lower()} ({name})",
        hint=(hook.kind in bpf_links.KINDS and bpf_links.hint(hook, code)) or _hint(hook, code),
        hook=hook.spec,
        matches=[],
        errno=code,
    )


def _hint(hook: ParsedHook, code: int) -> str | None:
    if code in (errno.EPERM, errno.EACCES):
        if os.geteuid() != 0:
            return "The agent lacks CAP_BPF or CAP_PERFMON: run it as root."
        if _locked_down():
            return "The kernel is locked down: boot without lockdown=confidentiality."
        return "This is no lack of privileges: the agent is root, and this kernel still refuses."
    if code == errno.ENOENT and hook.kind in ("kprobe", "kretprobe"):
        return "The kernel has no such function, or this hook is not part of it."
    if code in (errno.ENOENT, errno.EOPNOTSUPP) and hook.kind == "hardware":
        return "This machine has no such counter; profile:hz:49 samples by the software clock."
    if code == errno.EINVAL and hook.frequency:
        return "Sample less often: /proc/sys/kernel/perf_event_max_sample_rate is the limit."
    if code == errno.EINVAL and hook.offset:
        return "The offset must be where an instruction begins."
    if code == errno.EINVAL and hook.kind == "usdt":
        return "Another tracer holds this probe with another semaphore: stop that one first."
    if code == _ENOTSUPP and hook.kind in ("uprobe", "uretprobe"):
        return "It begins with an instruction that the kernel can put no breakpoint on."
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
