"""Hooks that a BPF link alone attaches: iterators, and packets at a network interface.

They are observe-only: whatever such a program returns, the packet passes (XDP_PASS, TCX_NEXT) and
the iterator continues. An XDP program that ends with `return 0` would otherwise drop every packet.
"""

from __future__ import annotations

import errno
import os
import re
import socket
from collections.abc import Callable, Iterable
from functools import partial

from kernelscope.agent.attach.kinds.base import Attached, Attacher, attach_for_a_moment, missing
from kernelscope.agent.attach.kinds.kernel_view import KernelView
from kernelscope.agent.btf import ids
from kernelscope.agent.btf.types import VMLINUX
from kernelscope.agent.kernel import syscalls
from kernelscope.errors import AttachError
from kernelscope.protocol.hook_grammar import ParsedHook

_XDP_SKB_MODE = 1 << 1  # include/uapi/linux/if_link.h
_XDP_PASS, _TCX_NEXT = 2, -1
_TAKEN = (errno.EBUSY, errno.EEXIST)
# What a driver answers that cannot run XDP itself: too large an MTU, too few queues, ...
_NOT_NATIVE = (errno.EINVAL, errno.EOPNOTSUPP, errno.ENOMEM, errno.ENOSPC, errno.ERANGE, 524)
_CONTEXT = re.compile(rb"\0bpf_iter__(\w+)(?=\0)")


# --- iterators -----------------------------------------------------------------------------------


def _attach_iterator(prog_fd: int, _hook: ParsedHook, _view: KernelView) -> Attached:
    return Attached((syscalls.link_create(prog_fd, 0, syscalls.TRACE_ITER),))


def walk(link_fd: int, between: Callable[[], object]) -> None:
    """Run an iterator's program for every object; `between` is called now and then.

    What the program writes with bpf_seq_write goes nowhere: rings and maps are what is read.
    """
    fd = syscalls.iter_create(link_fd)
    try:
        more = True
        while more:
            try:
                more = bool(os.read(fd, 1 << 16))
            except BlockingIOError:  # after each million of objects (kernel/bpf/bpf_iter.c)
                more = True
            between()
    finally:
        os.close(fd)


def iterators() -> list[str]:
    """Return the names of the iterators that this kernel has, [] where that cannot be read."""
    try:
        types = VMLINUX.read_bytes()
    except OSError:
        return []
    names = sorted({found.decode() for found in _CONTEXT.findall(types)})
    return [name for name in names if ids.iterator(name) is not None]


def _check_iterator(attacher: Attacher, hook: ParsedHook, view: KernelView) -> None:
    try:
        view.try_once(hook, partial(attach_for_a_moment, attacher, hook, view))
    except AttachError as error:
        if error.details.get("errno") is not None:
            raise
        raise missing(hook, hook.name, "iterator", iterators(), list_all=True) from None


def _iterator_hint(_: ParsedHook, code: int) -> str | None:
    if code in (errno.EINVAL, errno.EBADF):
        return "It walks something that must be named first (a map, say), which a hook cannot do."
    return _privileges(code)


# --- network interfaces --------------------------------------------------------------------------


def _attach_xdp(prog_fd: int, hook: ParsedHook, _: KernelView) -> Attached:
    interface = socket.if_nametoindex(hook.name)
    try:
        return Attached((syscalls.link_create(prog_fd, interface, syscalls.XDP),))
    except OSError as error:
        if error.errno not in _NOT_NATIVE:
            raise
    return Attached((syscalls.link_create(prog_fd, interface, syscalls.XDP, _XDP_SKB_MODE),))


def _attach_tcx(attach_type: int, prog_fd: int, hook: ParsedHook, _: KernelView) -> Attached:
    interface = socket.if_nametoindex(hook.name)
    return Attached((syscalls.link_create(prog_fd, interface, attach_type),))


def interfaces() -> list[str]:
    """Return the names of the network interfaces that the agent sees."""
    return [name for _, name in socket.if_nameindex()]


def _require_interface(hook: ParsedHook) -> None:
    known = interfaces()
    if hook.name not in known:
        raise missing(hook, hook.name, "network interface", known, list_all=True)


def _check_xdp(_: Attacher, hook: ParsedHook, _view: KernelView) -> None:
    # Attaching XDP for a moment would turn off what the card does by itself (LRO), for good.
    _require_interface(hook)


def _check_tcx(attacher: Attacher, hook: ParsedHook, view: KernelView) -> None:
    _require_interface(hook)
    view.try_once(hook, partial(attach_for_a_moment, attacher, hook, view))


def _xdp_hint(hook: ParsedHook, code: int) -> str | None:
    if code in _TAKEN:
        return (
            f"Another XDP program is on {hook.name} (ip link show {hook.name}), which takes one"
            f" alone: stop that one first, or attach to tcx_ingress:{hook.name}, which takes many."
        )
    return _privileges(code)


def _tcx_hint(hook: ParsedHook, code: int) -> str | None:
    if code == errno.EINVAL:
        return f"Linux has these hooks since 6.6; xdp:{hook.name} sees what arrives since 5.9."
    return _privileges(code)


def _privileges(code: int) -> str | None:
    if code in (errno.EPERM, errno.EACCES) and os.geteuid() != 0:
        return "The agent lacks CAP_BPF, CAP_PERFMON or CAP_NET_ADMIN: run it as root."
    return None


def _listed(_prefix: str, _target: str, _view: KernelView) -> Iterable[str]:
    return interfaces()


def _tcx(attach_type: int) -> Attacher:
    return Attacher(
        syscalls.PROG_TYPE_SCHED_CLS,
        partial(_attach_tcx, attach_type),
        _check_tcx,
        _listed,
        attach_type=attach_type,
        verdict=_TCX_NEXT,
        hint=_tcx_hint,
    )


ATTACHERS = {
    "iter": Attacher(
        syscalls.PROG_TYPE_TRACING,
        _attach_iterator,
        _check_iterator,
        lambda _prefix, _target, _view: iterators(),
        "iterator",
        attach_type=syscalls.TRACE_ITER,
        btf_id=ids.iterator,
        verdict=0,
        hint=_iterator_hint,
    ),
    "xdp": Attacher(
        syscalls.PROG_TYPE_XDP,
        _attach_xdp,
        _check_xdp,
        _listed,
        attach_type=syscalls.XDP,
        verdict=_XDP_PASS,
        hint=_xdp_hint,
    ),
    "tcx_ingress": _tcx(syscalls.TCX_INGRESS),
    "tcx_egress": _tcx(syscalls.TCX_EGRESS),
}
