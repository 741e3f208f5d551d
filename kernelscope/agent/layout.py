"""Layouts of keys, values and records, from the descriptions that BCC gives of its tables.

BCC describes a type as JSON (its src/cc/json_map_decl_visitor.cc): a scalar is its name, a struct
is [name, members, "struct" | "struct_packed" | "union"], a member [name, type], an array
[name, type, [length, ...]], a bit field [name, type, bits]. Where the members lie follows from C's
rules; a description whose size is not what the kernel says is not believed.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, NamedTuple

from kernelscope.agent.protocol import Field

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
    "long double": ("u128", 16),
}
_MOST_FIELDS = 1024


class Placed(NamedTuple):
    """A type's fields from offset 0, its size and its alignment."""

    fields: tuple[Field, ...]
    size: int
    align: int


def fields_of(description: str, size: int, name: str) -> tuple[Field, ...]:
    """Return the fields of a type that BCC describes and that is `size` bytes large.

    name: for a scalar's one field. Where the description cannot be read, or does not come to
    `size`, the whole is one field of raw bytes under that name.
    """
    try:
        placed = _place(json.loads(description), name)
    except (ValueError, KeyError, TypeError, IndexError):
        return raw_bytes(size, name)
    named = {field.name for field in placed.fields}
    if placed.size != size or not placed.fields or len(named) != len(placed.fields):
        return raw_bytes(size, name)
    return placed.fields


def raw_bytes(size: int, name: str) -> tuple[Field, ...]:
    """Return one field that covers everything."""
    return (Field(name, "u8", 0, size, count=size),)


def _place(described: Any, name: str) -> Placed:
    if isinstance(described, str):
        kind, size = _SCALARS[described]
        return Placed((Field(name, kind, 0, size),), size, size)
    _, members, kind = (*described, "struct")[:3]
    if kind == "union":
        return _place_union(members, name)
    return _place_struct(members, name, kind == "struct_packed")


def _place_struct(members: Sequence[Any], name: str, packed: bool) -> Placed:
    fields: list[Field] = []
    at, align = 0, 1  # at is in bits
    for member in members:
        bits = member[2] if len(member) == 3 and isinstance(member[2], int) else 0
        placed = _place_member(member, name)
        own = 1 if packed else placed.align
        if bits:
            offset, at = _bit_place(at, bits, placed.size, packed)
            fields += [
                replace(
                    f, offset=offset // 8, bit_offset=offset % 8 + at - bits - offset, bits=bits
                )
                for f in placed.fields
            ]
        else:
            start = -(-at // (8 * own)) * own
            fields += [replace(f, offset=start + f.offset) for f in placed.fields]
            at = 8 * (start + placed.size)
        align = max(align, own)
        if len(fields) > _MOST_FIELDS:
            raise ValueError("too many fields")
    size = -(-at // (8 * align)) * align
    return Placed(tuple(fields), size, align)


def _bit_place(at: int, bits: int, unit: int, packed: bool) -> tuple[int, int]:
    """Return where a bit field's container begins and where the field ends, in bits."""
    width = 8 * unit
    if not packed and at // width != (at + bits - 1) // width:
        at = -(-at // width) * width
    container = at // width * width
    if at + bits > container + width:  # packed: it straddles two units
        container = at // 8 * 8
    return container, at + bits


def _place_union(members: Sequence[Any], name: str) -> Placed:
    placed = [_place_member(member, name) for member in members]
    align = max([1, *(item.align for item in placed)])
    size = max([0, *(item.size for item in placed)])
    fields = tuple(field for item in placed for field in item.fields)
    return Placed(fields, -(-size // align) * align, align)


def _place_member(member: Any, outer: str) -> Placed:
    own, described = member[0], member[1]
    inner = isinstance(described, list)
    if len(member) == 3 and isinstance(member[2], str):  # an inline struct: [name, members, kind]
        described, inner = member, True
    own = "" if own.startswith("__anon") else own
    name = own if outer in ("", "key", "value") and not _nested(outer) else f"{outer}.{own}"
    if not own:
        name = outer
    if len(member) == 3 and isinstance(member[2], list):
        return _place_array(described, member[2], name)
    return _place(described, name) if not inner else _place(described, name)


def _nested(outer: str) -> bool:
    return "." in outer


def _place_array(described: Any, lengths: Sequence[int], name: str) -> Placed:
    if len(lengths) > 1:
        return _repeat(
            [_place_array(described, lengths[1:], f"{name}[{i}]") for i in range(lengths[0])]
        )
    element = _place(described, name)
    if isinstance(described, str):
        field = replace(element.fields[0], size=element.size * lengths[0], count=lengths[0])
        return Placed((field,), field.size, element.align)
    return _repeat([_place(described, f"{name}[{i}]") for i in range(lengths[0])])


def _repeat(items: Sequence[Placed]) -> Placed:
    if not items:
        return Placed((), 0, 1)
    fields: list[Field] = []
    for i, item in enumerate(items):
        fields += [replace(f, offset=f.offset + i * item.size) for f in item.fields]
        if len(fields) > _MOST_FIELDS:
            raise ValueError("too many fields")
    return Placed(tuple(fields), len(items) * items[0].size, items[0].align)
