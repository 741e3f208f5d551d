"""BTF ids of kernel functions and tracepoints, which tracing programs are attached by.

Asked of libbpf through libbcc_bpf, which takes 10 ms once where parsing BTF in Python takes 100.
"""

from __future__ import annotations

import ctypes
from functools import lru_cache

from kernelscope.errors import RequirementError

_KIND_TYPEDEF, _KIND_FUNC = 8, 12
_LIBRARIES = ("libbcc_bpf.so.0", "libbpf.so.1", "libbpf.so.0")


@lru_cache(maxsize=1)
def _vmlinux() -> tuple[ctypes.CDLL, int]:
    for name in _LIBRARIES:
        try:
            library = ctypes.CDLL(name, use_errno=True)
            library.btf__load_vmlinux_btf.restype = ctypes.c_void_p
            library.btf__find_by_name_kind.argtypes = (
                ctypes.c_void_p,
                ctypes.c_char_p,
                ctypes.c_uint32,
            )
            btf = library.btf__load_vmlinux_btf()
        except (OSError, AttributeError):
            continue
        # Failure is NULL, or a small negative number in libbpf before 1.0.
        if btf and btf < 2**64 - 4096:
            return library, btf
    raise RequirementError(
        "the kernel's type information (BTF) cannot be read",
        hint="Look whether /sys/kernel/btf/vmlinux exists; kernels built with"
        " CONFIG_DEBUG_INFO_BTF have it.",
        requirement="btf",
    )


def warm() -> None:
    """Load the types ahead of need; forked children inherit them. Raises RequirementError."""
    _vmlinux()


@lru_cache(maxsize=1024)
def _find(name: str, kind: int) -> int | None:
    library, btf = _vmlinux()
    found = library.btf__find_by_name_kind(btf, name.encode(), kind)
    return found if found > 0 else None


def function(name: str) -> int | None:
    """Return the id of a kernel function that fentry and fexit could name, None without it."""
    return _find(name, _KIND_FUNC)


def tracepoint(name: str) -> int | None:
    """Return the id of a tracepoint's typedef (btf_trace_NAME), None without it."""
    return _find(f"btf_trace_{name}", _KIND_TYPEDEF)
