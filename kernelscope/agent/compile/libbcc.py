"""The compiler in libbcc.so.0, by ctypes: only the functions that KernelScope uses.

bcc's Python package is not imported: it costs 50 ms and adds nothing here. Prototypes follow bcc's
src/cc/bcc_common.h, unchanged since 2019.
"""

from __future__ import annotations

import ctypes
from collections.abc import Iterator, Sequence
from functools import lru_cache
from pathlib import Path

from kernelscope.errors import RequirementError

SONAME = "libbcc.so.0"
DEBUG_SOURCE = 0x8

_P, _S, _N, _I, _U = (
    ctypes.c_void_p,
    ctypes.c_char_p,
    ctypes.c_size_t,
    ctypes.c_int,
    ctypes.c_uint,
)
_PROTOTYPES = {
    "bpf_module_create_c_from_string": (
        _P,
        [_S, _U, ctypes.POINTER(_S), _I, ctypes.c_bool, _S],
    ),
    "bpf_module_destroy": (None, [_P]),
    "bpf_module_license": (_S, [_P]),
    "bpf_module_kern_version": (_U, [_P]),
    "bpf_num_functions": (_N, [_P]),
    "bpf_function_name": (_S, [_P, _N]),
    "bpf_function_start": (_P, [_P, _S]),
    "bpf_function_size": (_N, [_P, _S]),
    "bpf_num_tables": (_N, [_P]),
    "bpf_table_name": (_S, [_P, _N]),
    "bpf_table_fd_id": (_I, [_P, _N]),
    "bpf_table_key_desc_id": (_S, [_P, _N]),
    "bpf_table_leaf_desc_id": (_S, [_P, _N]),
}


@lru_cache(maxsize=1)
def library() -> ctypes.CDLL:
    """Load libbcc (30 to 300 ms). Raises RequirementError if it is not installed."""
    try:
        lib = ctypes.CDLL(SONAME, use_errno=True)
    except OSError as error:
        raise RequirementError(
            f"BCC's compiler is not installed ({error})",
            hint="install it: apt install python3-bpfcc   (Fedora: dnf install python3-bcc)",
            requirement="bcc",
        ) from None
    for name, (result, parameters) in _PROTOTYPES.items():
        function = getattr(lib, name)
        function.restype, function.argtypes = result, parameters
    return lib


def library_path() -> Path | None:
    """Return the file of libbcc without loading it, None if it is not found."""
    folders = [*Path("/usr/lib").glob("*-linux-gnu*"), Path("/usr/lib64"), Path("/usr/lib")]
    folders.append(Path("/usr/local/lib"))
    for folder in folders:
        if (folder / SONAME).exists():
            return (folder / SONAME).resolve()
    return None


class Module:
    """One compiled program; its maps exist until it is closed."""

    def __init__(self, handle: int) -> None:
        self._handle = handle
        self._lib = library()

    def close(self) -> None:
        """Free the module and close its maps."""
        if self._handle:
            self._lib.bpf_module_destroy(self._handle)
            self._handle = 0

    @property
    def license(self) -> str:
        """The program's license, "GPL" if it states none."""
        return bytes(self._lib.bpf_module_license(self._handle) or b"GPL").decode()

    @property
    def kernel_version(self) -> int:
        """LINUX_VERSION_CODE as compiled in."""
        return int(self._lib.bpf_module_kern_version(self._handle))

    def functions(self) -> Iterator[tuple[str, bytes]]:
        """Yield each function's name and instructions."""
        for i in range(self._lib.bpf_num_functions(self._handle)):
            name = self._lib.bpf_function_name(self._handle, i)
            size = self._lib.bpf_function_size(self._handle, name)
            start = self._lib.bpf_function_start(self._handle, name)
            yield name.decode(), ctypes.string_at(start, size)

    def tables(self) -> Iterator[tuple[str, int, str, str]]:
        """Yield each table's name, map fd, and BCC's descriptions of its key and leaf."""
        for i in range(self._lib.bpf_num_tables(self._handle)):
            yield (
                self._lib.bpf_table_name(self._handle, i).decode(),
                self._lib.bpf_table_fd_id(self._handle, i),
                (self._lib.bpf_table_key_desc_id(self._handle, i) or b"").decode(),
                (self._lib.bpf_table_leaf_desc_id(self._handle, i) or b"").decode(),
            )


def compile_text(text: str, flags: Sequence[str], debug: int = 0) -> Module | None:
    """Compile BPF C; None if clang refused it. Its messages go to fd 2.

    Clang may end the process: see clang_process.
    """
    encoded = [flag.encode() for flag in flags]
    array = (ctypes.c_char_p * len(encoded))(*encoded)
    data = text.encode("utf-8", "surrogateescape")
    handle = library().bpf_module_create_c_from_string(
        data, debug, array, len(encoded), False, None
    )
    return Module(handle) if handle else None


def helpers_text() -> str:
    """Return BCC's helpers.h, which libbcc contains as a string; "" if it is not found."""
    path = library_path()
    if path is None:
        return ""
    data = path.read_bytes()
    start = data.find(b"#ifndef __BPF_HELPERS_H")
    return data[start : data.find(b"\0", start)].decode("latin-1") if start > 0 else ""
