"""Layouts of keys, values and records, from the descriptions that BCC gives of its tables.

BCC describes a type as JSON (its src/cc/json_map_decl_visitor.cc): a scalar is its name, a struct
[name, members, kind], a member [name, type], an array [name, type, [length]], a bit field
[name, type, bits]. A struct's kind is "struct_packed", with explicit padding, or "struct" where it
has bit fields, whose padding follows from C's rules. For an array of arrays only the first length
is given. So a description is used only if it adds up to the size that the kernel reports.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

from kernelscope.protocol.layout import Field

# BCC's names of scalars (bcc's __init__.py, str2ctype) -> our type and its size
_SCALARS: dict[str, tuple[str, int]] = {
    "_Bool": ("bool", 1),
    "char": ("char", 1),
    "signed char": ("s8", 1),
    "unsigned char": ("u8", 1),
    "wchar_t": ("s32", 4),
    "short": ("s16", 2),
    "unsigned short": ("u16", 2),
    "int": ("s32", 4),
    "unsigned int": ("u32", 4),
    "long": ("s64", 8),
    "unsigned long": ("u64", 8),
    "long long": ("s64", 8),
    "unsigned long long": ("u64", 8),
    "__int128": ("u128", 16),
    "unsigned __int128": ("u128", 16),
    "float": ("f32", 4),
    "double": ("f64", 8),
}
_PADDING = re.compile(r"__pad_?(?:\d+|end)\Z")
_MOST_FIELDS = 1024

ElementSizes = Mapping[tuple[str, str], int]
"""The size of an element of an array of arrays, by the names of its struct and member."""
_NO_ARRAYS: ElementSizes = {}


class Placed(NamedTuple):
    """A type's fields from offset 0, its size and its alignment."""

    fields: tuple[Field, ...]
    size: int
    align: int


def fields_of(
    description: str, size: int, name: str, *, arrays: ElementSizes | None = _NO_ARRAYS
) -> tuple[Field, ...]:
    """Return the fields of a type that BCC describes and that is `size` bytes large.

    name: what a scalar's one field is called.
    arrays: the size of an element of each array of arrays, by struct and member; None if there
        are some of unknown size: then with bit fields the size could agree by chance.

    A description that cannot be read or does not fit gives one field of raw bytes.
    """
    try:
        described = json.loads(description)
        if isinstance(described, str):
            return _scalar_array(described, size, name)
        for bit_fields_packed in (False, True):
            placed = _Placer(bit_fields_packed, arrays or {}).place(described, "")
            fields = _fitted(placed, size)
            if fields and not (arrays is None and '"struct"' in description):
                return fields
    except (ValueError, KeyError, TypeError, IndexError):
        pass
    return raw_bytes(size, name)


def raw_bytes(size: int, name: str) -> tuple[Field, ...]:
    """Return one field that covers everything."""
    return (Field(name, "u8", 0, size, count=size),)


def _scalar_array(described: str, size: int, name: str) -> tuple[Field, ...]:
    """A typedef'd array is described by its element only: the size gives the length."""
    kind, each = _SCALARS[described]
    if size % each:
        raise ValueError("the size is not a multiple of the scalar's")
    return (Field(name, kind, 0, size, count=size // each),)


def _fitted(placed: Placed, size: int) -> tuple[Field, ...]:
    """Return the fields without padding if they add up to `size`, else ()."""
    fields = placed.fields
    if placed.size == size + 1 and fields and fields[-1] == _last_char(fields[-1], size):
        # `char text[]` at the end is described as one char
        fields = (*fields[:-1], replace(fields[-1], size=0, count=0))
    elif placed.size != size:
        return ()
    shown = tuple(f for f in fields if not _PADDING.match(f.name.rpartition(".")[2]))
    unique = len({f.name for f in shown}) == len(shown)
    return tuple(_inside(f, size) for f in shown) if unique else ()


def _last_char(field: Field, offset: int) -> Field:
    return Field(field.name, "char", offset, 1)


def _inside(field: Field, size: int) -> Field:
    """Move a bit field's container back if it would reach beyond the record."""
    beyond = field.offset + field.size - size
    if not field.bits or beyond <= 0:
        return field
    return replace(field, offset=field.offset - beyond, bit_offset=field.bit_offset + 8 * beyond)


# --- placing -------------------------------------------------------------------------------------


class _Placer:
    """Places the members of described types."""

    def __init__(self, packed: bool, arrays: ElementSizes) -> None:
        self._packed = packed
        self._arrays = arrays

    def place(self, described: Any, name: str) -> Placed:
        if isinstance(described, str):
            kind, size = _SCALARS[described]
            return Placed((Field(name, kind, 0, size),), size, size)
        struct, members, kind = described
        placed = [(member, self._member(struct, member, name)) for member in members]
        if kind == "union":
            whole = _union([item for _, item in placed])
        elif kind == "struct_packed":
            whole = _with_explicit_padding([item for _, item in placed])
        else:
            whole = _with_bit_fields(placed, self._packed)
        only_padding = all(_PADDING.match(f.name.rpartition(".")[2]) for f in whole.fields)
        if only_padding and name:  # a kernel struct of which the program names no member
            return whole._replace(fields=raw_bytes(whole.size, name))
        return whole

    def _member(self, struct: str, member: Any, outer: str) -> Placed:
        own, described = member[0], member[1]
        last = member[2] if len(member) == 3 else None
        name = ".".join(part for part in (outer, own) if part)
        if isinstance(last, str):  # a struct without a member's name around it
            return self.place(member, name)
        if isinstance(last, list):
            size = self._arrays.get((struct, own), 0)
            if size:
                return self._array_of_arrays(described, last[0], name, size)
            return self._array(described, last[0], name)
        return self.place(described, name)

    def _array_of_arrays(self, described: Any, length: int, name: str, size: int) -> Placed:
        """Place an array whose elements are arrays of `size` bytes."""
        each = self.place(described, name)
        if size % each.size:
            raise ValueError("the size is not a multiple of the element's")
        inner = [self._array(described, size // each.size, f"{name}[{i}]") for i in range(length)]
        fields = tuple(
            replace(field, offset=field.offset + i * size)
            for i, placed in enumerate(inner)
            for field in placed.fields
        )
        return Placed(_few(fields), size * length, each.align)

    def _array(self, described: Any, length: int, name: str) -> Placed:
        element = self.place(described, name)
        if isinstance(described, str):
            field = replace(element.fields[0], size=element.size * length, count=length)
            return Placed((field,), field.size, element.align)
        _few(element.fields * length)
        fields = tuple(
            replace(field, offset=field.offset + i * element.size)
            for i in range(length)
            for field in self.place(described, f"{name}[{i}]").fields
        )
        return Placed(fields, element.size * length, element.align)


def _few(fields: tuple[Field, ...]) -> tuple[Field, ...]:
    if len(fields) > _MOST_FIELDS:
        raise ValueError("too many fields")
    return fields


def _with_explicit_padding(members: Sequence[Placed]) -> Placed:
    """A struct with explicit padding: each member follows the previous one."""
    fields: list[Field] = []
    at, align = 0, 1
    is_aligned = True
    for placed in members:
        fields += [replace(f, offset=f.offset + at) for f in placed.fields]
        is_aligned = is_aligned and at % placed.align == 0
        align = max(align, placed.align)
        at += placed.size
    return Placed(tuple(fields), at, align if is_aligned and at % align == 0 else 1)


def _union(members: Sequence[Placed]) -> Placed:
    align = max([1, *(placed.align for placed in members)])
    size = max([0, *(placed.size for placed in members)])
    fields = tuple(field for placed in members for field in placed.fields)
    return Placed(fields, -(-size // align) * align, align)


def _with_bit_fields(members: Sequence[tuple[Any, Placed]], packed: bool) -> Placed:
    """A struct with bit fields: its padding follows from the x86-64 and AArch64 ABIs' rules."""
    fields: list[Field] = []
    at, align = 0, 1  # at is in bits
    for member, placed in members:
        own = 1 if packed else placed.align
        bits = member[2] if len(member) == 3 and isinstance(member[2], int) else 0
        if bits:
            at, field = _bit_field(placed.fields[0], at, bits, packed)
            fields.append(field)
        else:
            start = -(-at // (8 * own)) * own
            fields += [replace(f, offset=start + f.offset) for f in placed.fields]
            at = 8 * (start + placed.size)
        align = max(align, own)
    return Placed(tuple(fields), -(-at // (8 * align)) * align, align)


def _bit_field(field: Field, at: int, bits: int, packed: bool) -> tuple[int, Field]:
    """Return the end of a bit field that starts at or after bit `at`, and its place."""
    width = 8 * field.size
    if packed:
        needed = at % 8 + bits
        size = next(s for s in (1, 2, 4, 8, 16) if needed <= 8 * s)
        container = at // 8 * 8
    else:
        if at // width != (at + bits - 1) // width:
            at = -(-at // width) * width
        size, container = field.size, at // width * width
    placed = replace(field, offset=container // 8, size=size, bit_offset=at - container, bits=bits)
    return at + bits, placed
