"""BTF ids of kernel functions and tracepoints, needed to attach to them; and kernel enums.

libbpf, through libbcc_bpf, finds them in 10 ms; parsing BTF in Python takes 100.
"""

from __future__ import annotations

import ctypes
import struct
from functools import lru_cache

from kernelscope.errors import RequirementError

_KIND_STRUCT, _KIND_ENUM, _KIND_TYPEDEF, _KIND_FUNC = 4, 6, 8, 12
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
            library.btf__type_by_id.restype = ctypes.c_void_p
            library.btf__type_by_id.argtypes = (ctypes.c_void_p, ctypes.c_uint32)
            library.btf__name_by_offset.restype = ctypes.c_char_p
            library.btf__name_by_offset.argtypes = (ctypes.c_void_p, ctypes.c_uint32)
            btf = library.btf__load_vmlinux_btf()
        except (OSError, AttributeError):
            continue
        # Failure is NULL, or a small negative number in libbpf before 1.0.
        if btf and btf < 2**64 - 4096:
            return library, btf
    raise RequirementError(
        "the kernel's type information (BTF) cannot be read",
        hint="Check whether /sys/kernel/btf/vmlinux exists; kernels built with"
        " CONFIG_DEBUG_INFO_BTF have it.",
        requirement="btf",
    )


def warm() -> None:
    """Load the types in advance; forked children inherit them. Raises RequirementError."""
    _vmlinux()


@lru_cache(maxsize=1024)
def _find(name: str, kind: int) -> int | None:
    library, btf = _vmlinux()
    found = library.btf__find_by_name_kind(btf, name.encode(), kind)
    return found if found > 0 else None


def function(name: str) -> int | None:
    """Return the id of a kernel function for fentry and fexit, None if there is none."""
    return _find(name, _KIND_FUNC)


def iterator(name: str) -> int | None:
    """Return the id of an iterator's function, None if there is none.

    Other functions are also called bpf_iter_NAME, but have no context struct of that name.
    """
    return function(f"bpf_iter_{name}") if _find(f"bpf_iter__{name}", _KIND_STRUCT) else None


def tracepoint(name: str) -> int | None:
    """Return the id of a tracepoint's typedef (btf_trace_NAME), None if there is none."""
    return _find(f"btf_trace_{name}", _KIND_TYPEDEF)


@lru_cache(maxsize=64)
def enumerators(name: str) -> dict[int, str]:
    """Return {number: name} of a 32-bit enum of the kernel, {} if there is none.

    The record is struct btf_type, then one struct btf_enum each (include/uapi/linux/btf.h).
    """
    found = _find(name, _KIND_ENUM)
    if found is None:
        return {}
    library, btf = _vmlinux()
    start = library.btf__type_by_id(btf, found)
    _, info, _ = struct.unpack("=III", ctypes.string_at(start, 12))
    items = ctypes.string_at(start + 12, 8 * (info & 0xFFFF))
    signed = info >> 31
    return {
        number: library.btf__name_by_offset(btf, text).decode("latin-1")
        for text, number in struct.iter_unpack("=Ii" if signed else "=II", items)
    }
