"""What a script prints besides maps, as rows: printf, time, join, cat, and print of a value.

Pieces without a newline at their end are parts of one line. Where all lines, except for banners and
headers, were printed by the same statements, their values become columns; where they were not, or a
line could be split in two ways, the lines stay text, in their order.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from kernelscope.tracing.bpftrace.formats import Format
from kernelscope.tracing.bpftrace.messages import Pairs, plain, printed

KINDS = ("printf", "time", "join", "cat", "syscall", "value")


@dataclass(frozen=True)
class Piece:
    """One printed text. value: of print(), as it was."""

    kind: str
    text: str
    value: Any = None


def piece(kind: str, data: Any) -> Piece:
    """Return a message as a piece of output."""
    if kind == "value":
        return Piece(kind, f"{printed(data)}\n", data)
    if kind == "join":
        return Piece(kind, f"{data}\n")  # its JSON leaves out the newline that ends it
    return Piece(kind, str(data))


def line_end() -> Piece:
    """Return what ends a line that has none: the print of a map, which begins on the same line."""
    return Piece("end", "\n")


def are_constant(pieces: Iterable[Piece], formats: Sequence[Format]) -> bool:
    """Return whether all pieces are banners: texts that a statement always prints alike."""
    constant = [each for each in formats if each.is_constant]
    return all(
        part.kind == "end"
        or (part.kind == "printf" and any(each.match(part.text) is not None for each in constant))
        for part in pieces
    )


def table(pieces: Sequence[Piece], formats: Sequence[Format]) -> tuple[str, pd.DataFrame]:
    """Return the name and the table of what was printed."""
    if all(each.kind == "value" for each in pieces):
        return "print", _values([each.value for each in pieces])
    lines = _lines(pieces)
    rows = _rows(lines, formats)
    if rows is None:
        texts = ["".join(part.text for part in line) for line in lines]
        rows = [{"line": text.removesuffix("\n")} for text in texts]
    return "printf", pd.DataFrame(rows)


def _lines(pieces: Iterable[Piece]) -> list[list[Piece]]:
    lines: list[list[Piece]] = [[]]
    for each in pieces:
        lines[-1].append(each)
        if each.text.endswith("\n"):
            lines.append([])
    return [line for line in lines if line]


def _rows(lines: Sequence[Sequence[Piece]], formats: Sequence[Format]) -> list[Any] | None:
    """Return a row of columns for each line; None where the lines have to stay text."""
    shapes: set[tuple[object, ...]] = set()
    rows = []
    for line in lines:
        try:
            parts = [_read(part, formats) for part in line]
        except ValueError:
            return None
        columns = [column for _, names, _ in parts for column in names]
        if not columns:
            continue  # a banner, a header or an empty line
        shapes.add(tuple(shape for shape, _, _ in parts))
        if len(shapes) > 1 or len(set(columns)) != len(columns):
            return None
        rows.append(dict(zip(columns, [v for _, _, vs in parts for v in vs], strict=True)))
    return rows or None


def _read(
    part: Piece, formats: Sequence[Format]
) -> tuple[object, tuple[str, ...], tuple[Any, ...]]:
    """Return what printed a piece, its columns and their values.

    Raises ValueError if that cannot be determined.
    """
    if part.kind == "end":
        return part.kind, (), ()
    if part.kind != "printf":
        return part.kind, (part.kind,), (part.text.removesuffix("\n"),)
    found = []
    for each in formats:
        values = each.match(part.text)
        if values is not None and each.is_constant:
            return each, (), ()
        if values is not None:
            found.append((each, values))
    if len(found) != 1:
        raise ValueError("several formats, or none, may have printed it")
    made, values = found[0]
    return made, tuple(each.column for each in made.conversions), values


def _values(values: Sequence[Any]) -> pd.DataFrame:
    """Return printed values as rows: numbers, texts, or tuples of the same length."""
    lengths = {len(value) if isinstance(value, list) else None for value in values}
    if lengths == {None}:
        kinds = {type(value) for value in values}
        return pd.DataFrame({"value": values if len(kinds) == 1 else [*map(printed, values)]})
    if len(lengths) == 1 and not any(isinstance(value, Pairs) for value in values):
        rows = [{f"value{n + 1}": plain(part) for n, part in enumerate(value)} for value in values]
        return pd.DataFrame(rows)
    return pd.DataFrame({"value": [printed(value) for value in values]})
