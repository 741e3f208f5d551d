"""Infers the columns of a table without a description, as of the C in a cell.

A struct's members become columns of the same names; a map's scalar key is "key", its scalar value
"value". Types decide the kinds: char arrays are text, pointers are addresses, integers stay as they
are, and an integer with "stack" in its name is a stack id.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping, Sequence

from kernelscope.errors import ParameterError, did_you_mean, suggestion
from kernelscope.probe.column_kinds import COLUMN_KINDS
from kernelscope.probe.model import Column
from kernelscope.protocol.layout import Field, Layout

_LARGEST_SPREAD = 512  # an array of numbers with more elements than this is shown as bytes
# Arrays of unsigned chars with such names are text, others are bytes: addresses, digests.
_TEXT_NAME = re.compile(
    r"(?:.*_)?(?:comm|\w*name|path|file|text|str|string|msg|cmd\w*|arg\w*|disk)\Z"
)


def columns(layout: Layout) -> tuple[Column, ...]:
    """Return the columns of a layout, a map's keys first, each with a different name."""
    keys = _of_fields(layout.key, "key")
    values = _of_fields(layout.value, "value")
    if not layout.key:  # a ring's record: fields are named without "value."
        return tuple(
            dataclasses.replace(column, field=column.field.removeprefix("value."))
            for column in values
        )
    if layout.histogram:
        keys[-1] = dataclasses.replace(keys[-1], name="value", kind="slot")
        values = [dataclasses.replace(column, name="count", kind="count") for column in values[:1]]
    taken = {column.name for column in keys}
    return (*keys, *(_renamed(column, taken) for column in values))


def _renamed(column: Column, taken: set[str]) -> Column:
    if column.name in taken:
        return dataclasses.replace(column, name=f"value_{column.name}")
    return column


def _of_fields(fields: Sequence[Field], part: str) -> list[Column]:
    alone = len(fields) == 1  # in a struct, "value" and "key" are members like others
    return [
        column
        for field in fields
        for column in _of_field(field, part, scalar=alone and field.name in ("", part))
    ]


def _of_field(field: Field, part: str, *, scalar: bool) -> list[Column]:
    name = part if scalar else field.name
    where = part if scalar else f"{part}.{field.name}"
    kind = _kind(field)
    if kind == "bytes" and field.type not in ("u8", "s8") and 1 < field.count <= _LARGEST_SPREAD:
        return [
            Column(f"{name}[{index}]", "integer", f"{where}[{index}]")
            for index in range(field.count)
        ]
    return [Column(name, kind, where)]


def _kind(field: Field) -> str:
    if field.count != 1 and (field.type == "char" or _is_text(field)):
        return "text"
    if field.count != 1:
        return "bytes"
    by_type = {"bool": "bool", "ptr": "address", "u128": "address", "f32": "float", "f64": "float"}
    if field.type in by_type:
        return by_type[field.type]
    name = field.name.rpartition(".")[2].lower()
    if "stack" in name and field.size in (4, 8):
        return "user_stack" if "user" in name or name.startswith("ustack") else "kernel_stack"
    return "integer"


def _is_text(field: Field) -> bool:
    name = field.name.rpartition(".")[2].lower()
    return field.type in ("u8", "s8") and bool(_TEXT_NAME.match(name.partition("[")[0]))


def check_types(types: Mapping[str, str], known: Sequence[str]) -> None:
    """Raise ParameterError where `types` names a kind or a column that does not exist."""
    for name, kind in types.items():
        if kind not in COLUMN_KINDS:
            raise ParameterError(
                f"there is no column kind {kind!r}",
                hint=_hint(kind, list(COLUMN_KINDS), "The kinds are"),
                name="type",
                value=kind,
            )
        if name not in known:
            raise ParameterError(
                f"no table has a column {name!r} to read as {kind}",
                hint=_hint(name, known, "The columns are"),
                name="type",
                value=name,
            )


def _hint(name: str, known: Sequence[str], otherwise: str) -> str:
    return suggestion(did_you_mean(name, known)) or f"{otherwise} {', '.join(known)}"


def retyped(column: Column, kind: str) -> Column:
    """Return `column` as another kind; a duration is in microseconds, with "_us" in its name."""
    if kind == "duration":
        name = f"{column.name.removesuffix('_ns')}_us"
        return dataclasses.replace(column, name=name, kind=kind, unit="us")
    return dataclasses.replace(column, kind=kind)
