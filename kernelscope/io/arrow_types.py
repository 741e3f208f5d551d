"""The types of a table's columns, kept next to text files, which have no place for them.

`plain` converts a table to what text can hold: categories as their values, durations as numbers,
times in ISO 8601. `notes` describes the types as JSON values, and `restored` converts back.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

_TIMESTAMP = re.compile(r"timestamp\[(?P<unit>s|ms|us|ns)(?:, tz=(?P<zone>.+))?\]")
_ROWS_AT_A_TIME = 65_536
_CONTROL = r"[\x00-\x1f]"


# --- what text has no place for ------------------------------------------------------------------


def notes(table: pa.Table) -> dict[str, Any]:
    """Return a table's types, categories, and where it is infinite, which JSON lacks.

    types: by name, for people. schema: all of it, as Arrow serialises it, in base64.
    """
    return {
        "types": {field.name: str(field.type) for field in table.schema},
        "schema": base64.b64encode(table.schema.serialize().to_pybytes()).decode(),
        "categories": categories(table),
        "infinite": _infinite(table),
    }


def categories(table: pa.Table) -> dict[str, list[Any]]:
    """Return the categories of each column that has some, in their order, unused ones too."""
    return {
        field.name: table.column(field.name).combine_chunks().dictionary.to_pylist()
        for field in table.schema
        if pa.types.is_dictionary(field.type)
    }


def _infinite(table: pa.Table) -> dict[str, dict[str, list[int]]]:
    found = {}
    for field in table.schema:
        if pa.types.is_floating(field.type):
            column = table.column(field.name)
            rows = pc.indices_nonzero(pc.is_inf(column).fill_null(False)).to_pylist()
            if rows:
                below = [row for row in rows if column[row].as_py() < 0]
                found[field.name] = {"inf": sorted({*rows} - {*below}), "-inf": below}
    return found


def schema_of(found: Mapping[str, Any]) -> pa.Schema:
    """Return the schema that `notes` were made of; an empty one if there are none."""
    if "schema" in found:
        return pa.ipc.read_schema(pa.py_buffer(base64.b64decode(found["schema"])))

    def kind(text: str) -> pa.DataType:
        time = _TIMESTAMP.fullmatch(text)
        return pa.timestamp(time["unit"], time["zone"]) if time else pa.type_for_alias(text)

    return pa.schema([(name, kind(text)) for name, text in found.get("types", {}).items()])


def plain_type(kind: pa.DataType) -> pa.DataType:
    """Return the type that text has for another one."""
    if pa.types.is_dictionary(kind):
        return plain_type(kind.value_type)
    return pa.int64() if pa.types.is_duration(kind) else kind


def readable(found: Mapping[str, Any]) -> pa.Schema:
    """Return the types that a text's columns are read as."""
    return pa.schema([(field.name, plain_type(field.type)) for field in schema_of(found)])


def restored(table: pa.Table, found: Mapping[str, Any]) -> pd.DataFrame:
    """Return a table that was read from text as the DataFrame that was written."""
    schema = schema_of(found)
    if schema.names == table.column_names:
        for index, field in enumerate(schema):
            if not pa.types.is_dictionary(field.type):
                table = table.set_column(index, field.name, table.column(index).cast(field.type))
        table = table.replace_schema_metadata(schema.metadata)
    frame: pd.DataFrame = table.to_pandas()
    for name, places in found.get("infinite", {}).items():
        for text, rows in places.items():
            frame.loc[frame.index[rows], name] = float(text)
    return with_categories(frame, schema, found.get("categories", {}))


def with_categories(
    frame: pd.DataFrame, schema: pa.Schema, known: Mapping[str, list[Any]]
) -> pd.DataFrame:
    """Return a DataFrame whose columns have the categories that they had, in their order."""
    for name, values in known.items():
        kind = schema.field(name).type
        is_dictionary = pa.types.is_dictionary(kind)
        index = pa.array(values, kind.value_type if is_dictionary else kind).to_pandas()
        ordered = is_dictionary and kind.ordered
        frame[name] = frame[name].astype(pd.CategoricalDtype(index, ordered))
    return frame


# --- text ----------------------------------------------------------------------------------------


def plain(table: pa.Table) -> pa.Table:
    """Return a table as text holds it; times to the nanosecond: 2026-11-22T08:39:20.000000001Z."""
    for index, field in enumerate(table.schema):
        column = table.column(index).cast(plain_type(field.type))
        if pa.types.is_timestamp(column.type):
            column = pc.cast(column, pa.large_string())
            column = pc.replace_substring(column, " ", "T", max_replacements=1)
        table = table.set_column(index, field.name, column)
    return table


def json_lines(table: pa.Table) -> Iterator[bytes]:
    """Yield a plain table's rows as JSON, an object a line; every number can be read back exactly.

    What is no number, and infinite, is null.
    """
    for batch in table.to_batches(max_chunksize=_ROWS_AT_A_TIME):
        parts: list[Any] = []
        for number, (name, column) in enumerate(zip(table.column_names, batch, strict=True)):
            key = json.dumps(name, ensure_ascii=False)
            parts += [f"{',' if number else '{'}{key}:", _as_json(column)]
        if parts and len(batch):
            scalars = [pa.scalar(p, pa.large_string()) if isinstance(p, str) else p for p in parts]
            ends = [pa.scalar(text, pa.large_string()) for text in ("}\n", "")]
            yield "".join(pc.binary_join_element_wise(*scalars, *ends).to_pylist()).encode()


def _as_json(column: pa.Array) -> pa.Array:
    """Return each value as JSON text."""
    kind = column.type
    if pa.types.is_floating(kind):
        column = pc.if_else(pc.is_finite(column), column, pa.scalar(None, kind))
    if pa.types.is_floating(kind) or pa.types.is_integer(kind) or pa.types.is_boolean(kind):
        return pc.fill_null(column.cast(pa.large_string()), "null")
    if (
        not (pa.types.is_string(kind) or pa.types.is_large_string(kind))
        or pc.any(pc.match_substring_regex(column, _CONTROL)).as_py()
    ):
        texts = [
            json.dumps(value, ensure_ascii=False, default=_as_text) for value in column.to_pylist()
        ]
        return pa.array(texts, pa.large_string())
    text = column.cast(pa.large_string())
    for character in ("\\", '"'):
        text = pc.replace_substring(text, character, f"\\{character}")
    quote, nothing = pa.scalar('"', pa.large_string()), pa.scalar("", pa.large_string())
    return pc.fill_null(pc.binary_join_element_wise(quote, text, quote, nothing), "null")


def _as_text(value: object) -> str:
    if isinstance(value, bytes):
        raise ValueError("bytes are not text")
    return str(value)
