"""Builds small BTF blobs, so that the reader is tested without a kernel's."""

from __future__ import annotations

import struct

from kernelscope.agent.btf import types


class Blob:
    """Adds types one by one; each call returns the new type's number."""

    def __init__(self) -> None:
        self.types = b""
        self.strings = b"\0"
        self.count = 0

    def data(self) -> bytes:
        head = struct.pack(
            "<HBBIIIII", 0xEB9F, 1, 0, 24, 0, len(self.types), len(self.types), len(self.strings)
        )
        return head + self.types + self.strings

    def read(self) -> types.Btf:
        return types.Btf(self.data())

    def text(self, text: str) -> int:
        if not text:
            return 0
        at = len(self.strings)
        self.strings += text.encode() + b"\0"
        return at

    def add(
        self, kind: int, name: str, size: int, rest: bytes = b"", length: int = 0, flag: int = 0
    ) -> int:
        info = flag << 31 | kind << 24 | length
        self.types += struct.pack("<III", self.text(name), info, size) + rest
        self.count += 1
        return self.count

    def integer(self, name: str, size: int) -> int:
        return self.add(types.INT, name, size, struct.pack("<I", 8 * size))

    def pointer(self, target: int) -> int:
        return self.add(types.PTR, "", target)

    def array(self, element: int, length: int) -> int:
        return self.add(types.ARRAY, "", 0, struct.pack("<III", element, element, length))

    def typedef(self, name: str, target: int) -> int:
        return self.add(types.TYPEDEF, name, target)

    def enum(self, name: str, values: dict[str, int]) -> int:
        rest = b"".join(struct.pack("<Ii", self.text(n), v) for n, v in values.items())
        return self.add(types.ENUM, name, 4, rest, len(values), 1)

    def record(
        self,
        name: str,
        size: int,
        members: list[tuple[str, int, int, int]],
        kind: int = types.STRUCT,
    ) -> int:
        """members: name, type, offset in bits, bits of a bit field (0 for none)."""
        rest = b"".join(
            struct.pack("<III", self.text(n), t, offset | bits << 24)
            for n, t, offset, bits in members
        )
        return self.add(kind, name, size, rest, len(members), 1)

    def function(self, name: str, parameters: list[tuple[str, int]], result: int) -> int:
        rest = b"".join(struct.pack("<II", self.text(n), t) for n, t in parameters)
        proto = self.add(types.FUNC_PROTO, "", result, rest, len(parameters))
        return self.add(types.FUNC, name, proto)
