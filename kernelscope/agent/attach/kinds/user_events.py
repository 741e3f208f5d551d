"""User probes and USDT: breakpoints in programs and libraries."""

from __future__ import annotations

import errno
from collections.abc import Iterable
from functools import partial

from kernelscope.agent.attach import user_probe, user_targets
from kernelscope.agent.attach.kinds import perf_events
from kernelscope.agent.attach.kinds.base import ENOTSUPP, Attacher, each
from kernelscope.agent.attach.kinds.kernel_view import KernelView
from kernelscope.agent.kernel import syscalls
from kernelscope.protocol.hook_grammar import ParsedHook


def _open(hook: ParsedHook, view: KernelView) -> tuple[int, ...]:
    process = user_targets.process_of(hook.target, view.target_pid)
    places = user_probe.places(hook, view.files, view.target_pid)
    return each(lambda place: _open_one(hook, place, process), places)


def _open_one(hook: ParsedHook, place: user_probe.Place, pid: int | None) -> int:
    # The fd names the very file that was looked into, in whatever mount namespace it is.
    path = f"/proc/self/fd/{place.file.fd}".encode() + b"\0"
    is_return = hook.kind == "uretprobe"
    config = 1 << perf_events.pmu_shift("uprobe", "retprobe") if is_return else 0
    if place.semaphore:
        config |= place.semaphore << perf_events.pmu_shift("uprobe", "ref_ctr_offset")
    attr = syscalls.perf_attr(
        perf_events.pmu_type("uprobe"),
        config,
        config1=syscalls.address(path),
        config2=place.offset,
    )
    if pid is None:
        return syscalls.perf_event_open(attr, -1, 0)
    return syscalls.perf_event_open(attr, pid, -1)


def _check(_: Attacher, hook: ParsedHook, view: KernelView) -> None:
    user_probe.places(hook, view.files, view.target_pid)


def _names(kind: str, _prefix: str, target: str, view: KernelView) -> Iterable[str]:
    paths = view.files.paths(target, view.target_pid)
    return user_probe.names(kind, view.files.elf(paths[0]))


def _hint(hook: ParsedHook, code: int) -> str | None:
    if code == errno.EINVAL and hook.offset:
        return "The offset must be where an instruction starts."
    if code == errno.EINVAL and hook.kind == "usdt":
        return "Another tracer uses this probe with another semaphore: stop that one first."
    if code == ENOTSUPP and hook.kind in ("uprobe", "uretprobe"):
        return "It starts with an instruction that the kernel cannot put a breakpoint on."
    return None


def _user(kind: str) -> Attacher:
    return Attacher(
        syscalls.PROG_TYPE_KPROBE,
        partial(perf_events.attach, _open),
        _check,
        partial(_names, kind),
        hint=_hint,
    )


ATTACHERS = {kind: _user(kind) for kind in ("uprobe", "uretprobe", "usdt")}
