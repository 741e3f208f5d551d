"""A short /proc/kallsyms for BCC, which reads the whole list for five names: 80 ms each time.

BCC checks whether the kernel has certain functions by reading the list of symbols. So a
list of just those names is mounted over it in the mount namespace of clang's process.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from kernelscope.agent.kernel import mounts

_LIST = "/proc/kallsyms"
# The functions that bcc's src/cc/frontends/clang looks for.
_ASKED = (
    "bpf_probe_read",
    "bpf_probe_read_kernel",
    "bpf_probe_read_kernel_str",
    "bpf_probe_read_user",
    "bpf_probe_read_user_str",
)


def listing(enumerators: Mapping[str, int]) -> str:
    """Return the short list: the names that this kernel has, by BTF's bpf_func_id."""
    known = [name for name in _ASKED if f"BPF_FUNC_{name[4:]}" in enumerators]
    return "".join(f"{0xFFFFFFFF81000000 + i:x} T {name}\n" for i, name in enumerate(known))


def cover(path: Path) -> None:
    """Mount `path` over /proc/kallsyms for this process alone, where that is allowed."""
    with suppress(OSError):
        mounts.unshare_mounts()
        mounts.mount(str(path), _LIST, None, mounts.MS_BIND)
