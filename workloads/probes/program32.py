"""Programs for 32-bit x86, written as bytes: they need neither a 32-bit compiler nor libraries."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from pathlib import Path

EXIT, OPEN, UNLINK, EXECVE, PAUSE, OPENAT = 1, 5, 10, 11, 29, 295  # i386's numbers
_BASE = 0x08048000
_HEADERS = 52 + 32  # of the file and of its only segment
_REGISTERS = (0xBB, 0xB9, 0xBA)  # mov ebx, ecx, edx

Call = tuple[int, Sequence["int | bytes | list[bytes]"]]


def write(path: Path, *calls: tuple[int, Call]) -> Path:
    """Write an executable that makes each call so many times, and then exits with 0.

    calls: (times, (number, arguments)); an argument is a number, a text, or a list of texts (a
    NULL-terminated array, such as argv). Returns the path.
    """
    code, data, fixups = bytearray(), bytearray(), []
    for times, (number, arguments) in [*calls, (1, (EXIT, [0]))]:
        code += b"\xbf" + struct.pack("<I", times)  # mov edi, times
        start = len(code)
        for register, argument in zip(_REGISTERS, arguments, strict=False):
            code.append(register)
            if isinstance(argument, int):
                code += struct.pack("<I", argument)
            else:
                fixups.append((len(code), argument))
                code += bytes(4)
        code += b"\xb8" + struct.pack("<I", number) + b"\xcd\x80"  # mov eax, number; int 0x80
        code += b"\x4f\x0f\x85" + struct.pack("<i", start - len(code) - 7)  # dec edi; jnz start
    first = _BASE + _HEADERS + len(code)
    for place, argument in fixups:
        if isinstance(argument, list):
            at = [
                first + len(data) + sum(len(t) + 1 for t in argument[:i])
                for i in range(len(argument))
            ]
            data += b"".join(text + b"\0" for text in argument)
            data += bytes(-len(data) % 4)
            address = first + len(data)
            data += struct.pack(f"<{len(at) + 1}I", *at, 0)
        else:
            address = first + len(data)
            data += argument + b"\0"
        struct.pack_into("<I", code, place, address)
    body = bytes(code + data)
    size = _HEADERS + len(body)
    identity = b"\x7fELF\x01\x01\x01" + bytes(9)
    header = identity + struct.pack(
        "<HHIIIIIHHHHHH", 2, 3, 1, _BASE + _HEADERS, 52, 0, 0, 52, 32, 1, 0, 0, 0
    )
    segment = struct.pack("<IIIIIIII", 1, 0, _BASE, _BASE, size, size, 7, 4096)
    path.write_bytes(header + segment + body)
    path.chmod(0o755)
    return path
