"""Hooks that a BPF link alone makes: iterators, and packets at a network interface.

KernelScope looks on: whatever such a program returns, the packet goes its way (XDP_PASS, TCX_NEXT)
and the iterator goes on. An XDP program that ends with `return 0` would else drop every packet.
"""

from __future__ import annotations

import errno
import os
import re
import socket
from collections.abc import Callable
from dataclasses import dataclass

from kernelscope.agent.btf import ids
from kernelscope.agent.btf.types import VMLINUX
from kernelscope.agent.kernel import syscalls
from kernelscope.protocol.hook_spec import ParsedHook

_XDP_SKB_MODE = 1 << 1  # include/uapi/linux/if_link.h
_TAKEN = (errno.EBUSY, errno.EEXIST)
# What a driver answers whose own XDP cannot be had: too large an MTU, too few queues, ...
_NOT_NATIVE = (errno.EINVAL, errno.EOPNOTSUPP, errno.ENOMEM, errno.ENOSPC, errno.ERANGE, 524)
_CONTEXT = re.compile(rb"\0bpf_iter__(\w+)(?=\0)")


@dataclass(frozen=True)
class Kind:
    """What the kernel calls a kind of hook. verdict: what its programs return."""

    program_type: int
    attach_type: int
    verdict: int


KINDS = {
    "iter": Kind(syscalls.PROG_TYPE_TRACING, syscalls.TRACE_ITER, 0),
    "xdp": Kind(syscalls.PROG_TYPE_XDP, syscalls.XDP, 2),
    "tcx_ingress": Kind(syscalls.PROG_TYPE_SCHED_CLS, syscalls.TCX_INGRESS, -1),
    "tcx_egress": Kind(syscalls.PROG_TYPE_SCHED_CLS, syscalls.TCX_EGRESS, -1),
}


def attach(prog_fd: int, hook: ParsedHook) -> int:
    """Attach a program and return its link. Raises OSError."""
    attach_type = KINDS[hook.kind].attach_type
    if hook.kind == "iter":
        return syscalls.link_create(prog_fd, 0, attach_type)
    interface = socket.if_nametoindex(hook.name)
    try:
        return syscalls.link_create(prog_fd, interface, attach_type)
    except OSError as error:
        if hook.kind != "xdp" or error.errno not in _NOT_NATIVE:
            raise
    return syscalls.link_create(prog_fd, interface, attach_type, _XDP_SKB_MODE)


def walk(link_fd: int, between: Callable[[], object]) -> None:
    """Run an iterator's program for every object there is; `between` is called now and then.

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


def interfaces() -> list[str]:
    """Return the names of the network interfaces that the agent sees."""
    return [name for _, name in socket.if_nameindex()]


def hint(hook: ParsedHook, code: int) -> str | None:
    """Say what to do about the kernel's refusal to attach, None where nothing is known."""
    if hook.kind == "xdp" and code in _TAKEN:
        return (
            f"Another XDP program is on {hook.name} (ip link show {hook.name}), which takes one"
            f" alone: stop that one first, or attach to tcx_ingress:{hook.name}, which takes many."
        )
    if hook.kind == "iter" and code in (errno.EINVAL, errno.EBADF):
        return "It walks what must be named first (a map, say), which a hook cannot do."
    if hook.kind.startswith("tcx") and code == errno.EINVAL:
        return f"Linux has these hooks since 6.6; xdp:{hook.name} sees what arrives since 5.9."
    if code in (errno.EPERM, errno.EACCES) and os.geteuid() != 0:
        return "The agent lacks CAP_BPF, CAP_PERFMON or CAP_NET_ADMIN: run it as root."
    return None
