"""The kernel's type information (BTF), read from /sys/kernel/btf/vmlinux.

The format is documented in the kernel's Documentation/bpf/btf.rst. Walking the 150,000 types takes
a second in Python, so it is done once per kernel: the start of every type and the names are kept
as an index in the cache, and types are decoded on demand.
"""

from __future__ import annotations

import array
import marshal
import mmap
import struct
from pathlib import Path
from typing import Any, NamedTuple, Union

VMLINUX = Path("/sys/kernel/btf/vmlinux")

(
    VOID,
    INT,
    PTR,
    ARRAY,
    STRUCT,
    UNION,
    ENUM,
    FWD,
    TYPEDEF,
    VOLATILE,
    CONST,
    RESTRICT,
    FUNC,
    FUNC_PROTO,
    VAR,
    DATASEC,
    FLOAT,
    DECL_TAG,
    TYPE_TAG,
    ENUM64,
) = range(20)

NAMED = frozenset((STRUCT, UNION, ENUM, ENUM64, TYPEDEF, FWD))
RECORDS = frozenset((STRUCT, UNION))
ENUMS = frozenset((ENUM, ENUM64))
MODIFIERS = frozenset((VOLATILE, CONST, RESTRICT, TYPE_TAG))

_MAGIC = 0xEB9F
_EXTRA = {INT: 4, ARRAY: 12, VAR: 4, DECL_TAG: 4}
_PER_ITEM = {STRUCT: 12, UNION: 12, ENUM: 8, FUNC_PROTO: 8, DATASEC: 12, ENUM64: 12}

Bytes = Union[bytes, mmap.mmap]


class Type(NamedTuple):
    """One type record: `size` is a size or a referenced type, `offset` the place of its list."""

    name: int
    kind: int
    length: int
    flag: int
    size: int
    offset: int


class Member(NamedTuple):
    """One member of a struct or union; bits is 0 unless it is a bit field."""

    name: str
    type: int
    bit_offset: int
    bits: int


class Index(NamedTuple):
    """The start of each type, and the types and enumerators by name."""

    starts: Any  # array.array("I"): generic only from Python 3.12 on
    types: dict[str, tuple[int, ...]]
    enumerators: dict[str, int]

    def dump(self) -> bytes:
        """Return the index as bytes for `load`."""
        return marshal.dumps((self.starts.tobytes(), self.types, self.enumerators), 2)

    @classmethod
    def load(cls, data: bytes) -> Index:
        """Rebuild an index. Raises ValueError if `data` is not one."""
        try:
            starts, types, enumerators = marshal.loads(data)
        except (EOFError, TypeError) as error:
            raise ValueError(f"not a BTF index: {error}") from None
        table = array.array("I")
        table.frombytes(starts)
        return cls(table, types, enumerators)


class Btf:
    """The types of one BTF blob. Type 0 is void."""

    def __init__(self, data: Bytes, index: Index | None = None) -> None:
        """Read `data`, and build the index if none is given. Raises ValueError if it is not BTF."""
        if len(data) < 24:
            raise ValueError("not BTF: too short")
        magic, _, _, header, types, types_size, strings, _ = struct.unpack_from(
            "<HBBIIIII", data, 0
        )
        if magic != _MAGIC:
            raise ValueError("not little-endian BTF")
        self.data = data
        self._strings = header + strings
        self._texts: dict[int, str] = {}
        self._types: dict[int, Type] = {0: Type(0, VOID, 0, 0, 0, 0)}
        self._starts = (
            index.starts if index else _starts(data, header + types, header + types + types_size)
        )
        self.index = index or self._build_index()

    def __len__(self) -> int:
        return len(self._starts)

    def type(self, number: int) -> Type:
        """Return a type's record."""
        known = self._types.get(number)
        if known is None:
            start = self._starts[number]
            name, info, size = struct.unpack_from("<III", self.data, start)
            known = self._types[number] = Type(
                name, (info >> 24) & 31, info & 0xFFFF, info >> 31, size, start + 12
            )
        return known

    def text(self, offset: int) -> str:
        """Return the string at `offset` of the string section."""
        known = self._texts.get(offset)
        if known is None:
            start = self._strings + offset
            end = self.data.find(b"\0", start)
            known = self._texts[offset] = bytes(self.data[start:end]).decode("latin-1")
        return known

    def name(self, number: int) -> str:
        """Return a type's name, "" if it has none."""
        return self.text(self.type(number).name)

    def members(self, number: int) -> list[Member]:
        """Return the members of a struct or union."""
        record = self.type(number)
        found = []
        for i in range(record.length):
            name, kind, offset = struct.unpack_from("<III", self.data, record.offset + 12 * i)
            if record.flag:
                found.append(Member(self.text(name), kind, offset & 0xFFFFFF, offset >> 24))
            else:
                found.append(Member(self.text(name), kind, offset, 0))
        return found

    def enumerators(self, number: int) -> list[tuple[str, int]]:
        """Return an enum's names and values."""
        record = self.type(number)
        if record.kind == ENUM64:
            return [
                (self.text(name), _signed64(low | high << 32) if record.flag else low | high << 32)
                for name, low, high in self._items(record, "<III")
            ]
        items = self._items(record, "<Ii" if record.flag else "<II")
        return [(self.text(name), value) for name, value in items]

    def array(self, number: int) -> tuple[int, int]:
        """Return an array's element type and length."""
        element, _, length = struct.unpack_from("<III", self.data, self.type(number).offset)
        return element, length

    def parameters(self, number: int) -> list[tuple[str, int]]:
        """Return the names and types of a function prototype's parameters."""
        record = self.type(number)
        return [(self.text(name), kind) for name, kind in self._items(record, "<II")]

    def unqualified(self, number: int) -> int:
        """Return the type behind typedefs, const, volatile and tags."""
        while self.type(number).kind in MODIFIERS or self.type(number).kind == TYPEDEF:
            number = self.type(number).size
        return number

    def sizeof(self, number: int) -> int:
        """Return a type's size in bytes."""
        number = self.unqualified(number)
        record = self.type(number)
        if record.kind == PTR:
            return 8
        if record.kind == ARRAY:
            element, length = self.array(number)
            return length * self.sizeof(element)
        return record.size

    def alignof(self, number: int) -> int:
        """Return the alignment that a type's size and the offsets of its members allow."""
        number = self.unqualified(number)
        record = self.type(number)
        if record.kind == PTR:
            return 8
        if record.kind == ARRAY:
            return self.alignof(self.array(number)[0])
        if record.kind not in RECORDS:
            return min(record.size, 16) or 1
        alignment = 1
        for member in self.members(number):
            wanted = self.alignof(member.type)
            if wanted > alignment and (member.bits or member.bit_offset % (8 * wanted) == 0):
                alignment = wanted
        return alignment if record.size % alignment == 0 else 1

    def find(self, name: str, *kinds: int) -> list[int]:
        """Return the types of that name, and of one of `kinds` if any are given."""
        found = self.index.types.get(name, ())
        return [i for i in found if not kinds or self.type(i).kind in kinds]

    def _items(self, record: Type, layout: str) -> list[tuple[int, ...]]:
        size = struct.calcsize(layout)
        raw = bytes(self.data[record.offset : record.offset + size * record.length])
        return list(struct.iter_unpack(layout, raw))

    def _build_index(self) -> Index:
        types: dict[str, tuple[int, ...]] = {}
        enumerators: dict[str, int] = {}
        for number in range(1, len(self._starts)):
            record = self.type(number)
            if record.kind in NAMED and record.name:
                name = self.text(record.name)
                types[name] = (*types.get(name, ()), number)
            if record.kind in ENUMS:
                for name, _ in self.enumerators(number):
                    enumerators.setdefault(name, number)
        self._types = {0: self._types[0]}  # the walk decoded every type: too many to keep
        self._texts = {}
        return Index(self._starts, types, enumerators)


def _starts(data: Bytes, start: int, end: int) -> Any:
    """Return where each type begins; entry 0 is void."""
    starts = array.array("I", [0])
    unpack = struct.Struct("<I").unpack_from
    while start < end:
        starts.append(start)
        (info,) = unpack(data, start + 4)
        kind = (info >> 24) & 31
        if kind > ENUM64:
            raise ValueError(f"BTF has a kind of type ({kind}) that is newer than this reader")
        start += 12 + _EXTRA.get(kind, 0) + _PER_ITEM.get(kind, 0) * (info & 0xFFFF)
    return starts


def _signed64(value: int) -> int:
    return value - (1 << 64) if value >> 63 else value


def read(path: Path = VMLINUX) -> Bytes:
    """Return the blob at `path`, mapped if the kernel supports it (6.16). Raises OSError."""
    with path.open("rb") as file:
        try:
            return mmap.mmap(file.fileno(), 0, prot=mmap.PROT_READ)
        except (OSError, ValueError):
            return file.read()
