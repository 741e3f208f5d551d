"""A short /proc/kallsyms for BCC, which reads the whole list for five names: 80 ms each time.

BCC checks whether the kernel has certain functions by reading the list of symbols. During a
compilation a list of just those names is mounted over it, in a private mount namespace.
Symbolization later sees the real list.
"""

from __future__ import annotations

import ctypes
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from kernelscope.agent.kernel import syscalls

_LIST = "/proc/kallsyms"
# The functions that bcc's src/cc/frontends/clang looks for.
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
    """Return the short list: the names that this kernel has, by BTF's bpf_func_id."""
    known = [name for name in _ASKED if f"BPF_FUNC_{name[4:]}" in enumerators]
    return "".join(f"{0xFFFFFFFF81000000 + i:x} T {name}\n" for i, name in enumerate(known))


@contextmanager
def short_list(path: Path) -> Iterator[None]:
    """Mount `path` over /proc/kallsyms during the block, where that is allowed."""
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
