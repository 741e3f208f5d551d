"""Programs that run on a perf event: how they are attached, and the sampling kinds."""

from __future__ import annotations

import errno
import fcntl
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from pathlib import Path

from kernelscope.agent.attach.kinds.base import (
    ENOTSUPP,
    Attached,
    Attacher,
    close_all,
    each,
    refusal,
)
from kernelscope.agent.attach.kinds.kernel_view import KernelView
from kernelscope.agent.kernel import syscalls
from kernelscope.protocol.hook_grammar import HARDWARE_EVENTS, SOFTWARE_EVENTS, ParsedHook

Events = Callable[[ParsedHook, KernelView], "tuple[int, ...]"]

_PMU = Path("/sys/bus/event_source/devices")
# Kernels before 5.15 have no links for perf events; they attach by ioctl.
_NO_LINKS = (errno.EINVAL, errno.EOPNOTSUPP, ENOTSUPP)


def attach(open_events: Events, prog_fd: int, hook: ParsedHook, view: KernelView) -> Attached:
    """Open a hook's events and attach a program to each."""
    events = open_events(hook, view)
    try:
        return _attach(prog_fd, events)
    except OSError:
        close_all(events)
        raise


def _attach(prog_fd: int, events: Sequence[int]) -> Attached:
    try:
        links = each(lambda event: syscalls.perf_link(prog_fd, event), events)
        attached = Attached(links, tuple(events))
    except OSError as error:
        if error.errno not in _NO_LINKS:
            raise
        for event in events:
            fcntl.ioctl(event, syscalls.PERF_EVENT_IOC_SET_BPF, prog_fd)
        attached = Attached(tuple(events))
    for event in events:
        fcntl.ioctl(event, syscalls.PERF_EVENT_IOC_ENABLE, 0)
    return attached


def open_for_a_moment(
    open_events: Events, attacher: Attacher, hook: ParsedHook, view: KernelView
) -> None:
    """Open a hook's events and close them. Raises AttachError or TargetError."""
    try:
        close_all(open_events(hook, view))
    except OSError as error:
        raise refusal(attacher, hook, error) from None


def pmu_type(pmu: str) -> int:
    """Return the number of a PMU ("kprobe", "uprobe"). Raises OSError if there is none."""
    return int((_PMU / pmu / "type").read_text(encoding="ascii"))


def pmu_shift(pmu: str, field: str) -> int:
    """Return where a field starts in `perf_event_attr.config`."""
    text = (_PMU / pmu / "format" / field).read_text(encoding="ascii")  # "config:32-63"
    return int(text.strip().partition(":")[2].partition("-")[0])


def has_pmu(pmu: str) -> bool:
    """Return whether this kernel has a PMU."""
    return (_PMU / pmu).exists()


# --- sampling ------------------------------------------------------------------------------------


def _everywhere(hook: ParsedHook, _: KernelView) -> tuple[int, ...]:
    attr = _counter(hook)
    return each(lambda cpu: syscalls.perf_event_open(attr, -1, cpu), syscalls.online_cpus())


def _on_one_cpu(hook: ParsedHook, _: KernelView) -> tuple[int, ...]:
    return (syscalls.perf_event_open(_counter(hook), -1, syscalls.online_cpus()[0]),)


def _counter(hook: ParsedHook) -> bytes:
    if hook.kind == "hardware":
        event = HARDWARE_EVENTS[hook.name]
        return syscalls.perf_attr(syscalls.PERF_TYPE_HARDWARE, event, sample_period=hook.count)
    if hook.kind == "software":
        event = SOFTWARE_EVENTS[hook.name]
        return syscalls.perf_attr(syscalls.PERF_TYPE_SOFTWARE, event, sample_period=hook.count)
    # Every guest has the software clock; many have no hardware counters.
    clock = syscalls.PERF_TYPE_SOFTWARE, syscalls.PERF_COUNT_SW_CPU_CLOCK
    if hook.frequency:
        return syscalls.perf_attr(*clock, sample_freq=hook.frequency)
    return syscalls.perf_attr(*clock, sample_period=hook.period_ns)


def _check(open_events: Events, attacher: Attacher, hook: ParsedHook, view: KernelView) -> None:
    attempt = partial(open_for_a_moment, open_events, attacher, hook, view)
    view.try_once(hook, attempt, key=hook.spec)


def _hint(hook: ParsedHook, code: int) -> str | None:
    if code in (errno.ENOENT, errno.EOPNOTSUPP) and hook.kind == "hardware":
        return "This machine has no such counter; profile:hz:49 samples by the software clock."
    if code == errno.EINVAL and hook.frequency:
        return "Sample less often: /proc/sys/kernel/perf_event_max_sample_rate is the limit."
    return None


def _sampling(open_events: Events, names: Iterable[str] = ()) -> Attacher:
    return Attacher(
        syscalls.PROG_TYPE_PERF_EVENT,
        partial(attach, open_events),
        partial(_check, open_events),
        lambda _prefix, _target, _view: names,
        hint=_hint,
    )


ATTACHERS = {
    "profile": _sampling(_everywhere),
    "interval": _sampling(_on_one_cpu),
    "software": _sampling(_everywhere, SOFTWARE_EVENTS),
    "hardware": _sampling(_everywhere, HARDWARE_EVENTS),
}
