"""Spares BCC its walk through /proc/kallsyms: 80 ms of every compilation, for five names.

BCC asks whether the kernel has certain functions by reading the whole list of symbols. For the
time of a compilation a list of just those stands in its place, in a mount namespace of this
process's own; symbolisation later sees the true one.
"""

from __future__ import annotations

import ctypes
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from kernelscope.agent.kernel import syscalls

_LIST = "/proc/kallsyms"
# What bcc's src/cc/frontends/clang asks for, and the helper whose presence answers it.
_ASKED = (
    "bpf_probe_read",
    "bpf_probe_read_kernel",
    "bpf_probe_read_kernel_str",
    "bpf_probe_read_user",
    "bpf_probe_read_user_str",
)
_MNT_DETACH = 2

_libc = ctypes.CDLL(None, use_errno=True)


def listing(enumerators: Mapping[str, int]) -> str:
    """Return the short list: those of the names that BTF's bpf_func_id says the kernel has."""
    known = [name for name in _ASKED if f"BPF_FUNC_{name[4:]}" in enumerators]
    return "".join(f"{0xFFFFFFFF81000000 + i:x} T {name}\n" for i, name in enumerate(known))


@contextmanager
def short_list(path: Path) -> Iterator[None]:
    """Let /proc/kallsyms read as `path` in the block; where that is refused, nothing happens."""
    mounted = False
    try:
        syscalls.unshare_mounts()
        syscalls.mount(str(path), _LIST, None, syscalls.MS_BIND)
        mounted = True
    except OSError:
        pass
    try:
        yield
    finally:
        if mounted and _libc.umount2(os.fsencode(_LIST), _MNT_DETACH):
            code = ctypes.get_errno()
            raise OSError(code, os.strerror(code), _LIST)
