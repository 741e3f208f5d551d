"""Tables as CSV, JSON lines, Parquet and Arrow files, and back again.

A table's receipt, `df.attrs["kernelscope"]`, goes with it: into Parquet's or Arrow's own metadata
under the key "kernelscope", and for CSV and JSON lines into a sidecar, `bio.csv` ->
`bio.csv.receipt.json`, together with the columns' types, so that `read` gives back the DataFrame
that was written. pandas finds a Parquet file's receipt in `attrs`, too.

CSV is plain UTF-8 with a header row, times in ISO 8601 to the nanosecond, texts and times in
quotes, numbers plain; an empty text is "" and a missing value nothing at all. Data is never
changed. A process can choose a name such as `=1+1`, which a spreadsheet takes for a formula; for a
spreadsheet, `to_csv(..., escape_formulas=True)` puts an apostrophe before such texts (and `read`
removes it again).
"""

from __future__ import annotations

import csv
import io
import json
import os
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from functools import partial
from pathlib import Path
from typing import IO, Any

import pandas as pd
import pyarrow as pa
import pyarrow.csv
import pyarrow.ipc
import pyarrow.json
import pyarrow.parquet

from kernelscope.errors import ExportError
from kernelscope.io import arrow_types
from kernelscope.io.atomic_write import PathLike, explained, write_whole
from kernelscope.tables.attrs import KEY, receipt_of
from kernelscope.tables.store import available_bytes
from kernelscope.tables.untrusted import check_receipt
from kernelscope.units import bytes_text

_CATEGORIES = b"kernelscope.categories"
_PANDAS_ATTRS = b"PANDAS_ATTRS"
_FORMULA = ("=", "+", "-", "@", "\t", "\r")
_SIDECAR_VERSION = 1
_ROWS_AT_A_TIME = 65_536


# --- writing -------------------------------------------------------------------------------------


def to_csv(frame: pd.DataFrame, path: PathLike, *, escape_formulas: bool = False) -> Path:
    """Write a table as CSV, and its sidecar. Returns the path. Raises ExportError."""
    table = _table(frame, path)
    notes = arrow_types.notes(table)
    kinds = notes["types"].items()
    escaped = [name for name, kind in kinds if escape_formulas and kind == "large_string"]
    for name in escaped:
        texts = _apostrophes(frame[name])
        table = table.set_column(table.schema.get_field_index(name), name, texts)
    target = _written(path, partial(_fill_csv, table))
    _write_sidecar(frame, target, {**notes, "escaped": escaped})
    return target


def to_json(frame: pd.DataFrame, path: PathLike) -> Path:
    """Write a table as JSON lines, one object a row, and its sidecar. Raises ExportError."""
    table = _table(frame, path)
    target = _written(path, partial(_fill_json, table))
    _write_sidecar(frame, target, arrow_types.notes(table))
    return target


def write_csv(frame: pd.DataFrame, file: IO[bytes], *, header: bool = True) -> None:
    """Write a table to an open file as `to_csv` does, without a sidecar."""
    _fill_csv(_table(frame, "standard output"), file, header=header)


def write_json(frame: pd.DataFrame, file: IO[bytes]) -> None:
    """Write a table to an open file as `to_json` does, without a sidecar."""
    _fill_json(_table(frame, "standard output"), file)


def _fill_csv(table: pa.Table, file: IO[bytes], *, header: bool = True) -> None:
    if header:
        names = io.StringIO()
        csv.writer(names, lineterminator="\n").writerow(table.column_names)
        file.write(names.getvalue().encode("utf-8"))
    options = pyarrow.csv.WriteOptions(include_header=False, quoting_style="needed")
    pyarrow.csv.write_csv(arrow_types.plain(table), file, options)


def _fill_json(table: pa.Table, file: IO[bytes]) -> None:
    for lines in arrow_types.json_lines(arrow_types.plain(table)):
        file.write(lines)


def to_parquet(frame: pd.DataFrame, path: PathLike) -> Path:
    """Write a table as Parquet, its receipt in the schema's metadata. Raises ExportError."""
    table = _with_receipt(frame, path)
    return _written(path, lambda file: pyarrow.parquet.write_table(table, file))


def to_arrow(frame: pd.DataFrame, path: PathLike) -> Path:
    """Write a table as an Arrow file, which is Feather too, uncompressed, so that it can be mapped.

    The receipt is in the schema's metadata. Raises ExportError.
    """
    table = _with_receipt(frame, path)

    def write(file: IO[bytes]) -> None:
        with pa.ipc.new_file(file, table.schema) as writer:
            writer.write_table(table, max_chunksize=_ROWS_AT_A_TIME)

    return _written(path, write)


def sidecar(path: PathLike) -> Path:
    """Return where a CSV or JSON lines file's receipt is kept: bio.csv -> bio.csv.receipt.json."""
    return Path(f"{os.fspath(path)}.receipt.json")


# --- reading -------------------------------------------------------------------------------------


def read_parquet(path: Path) -> pd.DataFrame:
    """Read a Parquet file, with its receipt. Raises ExportError."""
    with _reading(path), path.open("rb") as file:
        parquet = pyarrow.parquet.ParquetFile(file)
        _check_size(parquet.metadata.num_rows, parquet.schema_arrow, path)
        return _frame_with_receipt(parquet.read())


def read_arrow(path: Path) -> pd.DataFrame:
    """Read an Arrow file, with its receipt. Raises ExportError."""
    with _reading(path), path.open("rb") as file, pa.ipc.open_file(file) as reader:
        return _frame_with_receipt(reader.read_all())


def _frame_with_receipt(table: pa.Table) -> pd.DataFrame:
    metadata = table.schema.metadata or {}
    receipt, known = (metadata.get(key) for key in (KEY.encode(), _CATEGORIES))
    table.validate(full=True)  # pyarrow trusts an Arrow file's offsets and would read anywhere
    for column in table.columns:
        if pa.types.is_timestamp(column.type) and column.type.unit != "ns":
            column.cast(pa.timestamp("ns", column.type.tz))  # pandas cannot show other years
    frame = table.to_pandas()
    if known:
        frame = arrow_types.with_categories(frame, table.schema, json.loads(known))
    return _described(frame, json.loads(receipt) if receipt else {})


def read_csv(path: Path) -> pd.DataFrame:
    """Read a CSV file; its sidecar has types and receipt. Raises ExportError."""
    with _reading(path):
        notes = _sidecar_of(path)
        convert = pyarrow.csv.ConvertOptions(
            column_types=arrow_types.readable(notes),
            null_values=[""] if notes else None,
            strings_can_be_null=bool(notes),
            quoted_strings_can_be_null=False,
        )
        parse = pyarrow.csv.ParseOptions(newlines_in_values=True)
        table = pyarrow.csv.read_csv(path, parse_options=parse, convert_options=convert)
        table.validate(full=True)  # text that is not UTF-8 would fail later, when it is shown
        frame = arrow_types.restored(table, notes)
        for name in notes.get("escaped", []):
            frame[name] = frame[name].str.removeprefix("'")
        return _described(frame, notes.get("receipt", {}))


def read_json(path: Path) -> pd.DataFrame:
    """Read a JSON lines file; its sidecar has types and receipt. Raises ExportError."""
    with _reading(path):
        notes = _sidecar_of(path)
        schema = arrow_types.readable(notes)
        if path.stat().st_size:
            parse = pyarrow.json.ParseOptions(explicit_schema=schema, newlines_in_values=False)
            table = pyarrow.json.read_json(path, parse_options=parse)
        else:
            table = schema.empty_table()
        table.validate(full=True)
        return _described(arrow_types.restored(table, notes), notes.get("receipt", {}))


def _reading(path: Path) -> AbstractContextManager[None]:
    # A file from outside can make pyarrow and pandas fail in any way.
    hint = "check that the file is what its extension says, and that nobody changed it"
    return explained(path, "read", Exception, hint=hint)


def _sidecar_of(path: Path) -> dict[str, Any]:
    beside, older = sidecar(path), path.with_suffix(".receipt.json")
    if not beside.exists():
        beside = older
    if not beside.exists():
        return {}
    notes = json.loads(beside.read_text("utf-8"))
    if not isinstance(notes, dict):
        raise ValueError(f"{beside.name} is not a sidecar")
    if beside == older and notes.get("file") != path.name:
        return {}  # until 0.1, x.csv and x.json shared one sidecar
    if notes.get("version") != _SIDECAR_VERSION:
        raise ExportError(
            f"{beside}: sidecar version {notes.get('version')!r} is not known",
            hint="a newer KernelScope wrote it; upgrade, or move it away to read the data",
            path=str(beside),
        )
    return dict(notes)


def _described(frame: pd.DataFrame, receipt: Any) -> pd.DataFrame:
    if receipt:
        frame.attrs[KEY] = check_receipt(receipt)
    return frame


def _check_size(rows: int, schema: pa.Schema, path: Path) -> None:
    """Raise ExportError for a file whose rows do not fit the memory: a few bytes can claim many."""
    needed = rows * sum(_width(field.type) for field in schema)
    available = available_bytes()
    if needed > available:
        raise ExportError(
            f"cannot read {path}: its {rows:,} rows take {bytes_text(needed)}",
            hint=f"{bytes_text(available)} of memory are available; read a part with pyarrow",
            path=str(path),
        )


def _width(kind: pa.DataType) -> int:
    try:
        return max(1, int(kind.bit_width) // 8)
    except ValueError:
        return 8  # text: at least its offset


# --- types ---------------------------------------------------------------------------------------


def _table(frame: pd.DataFrame, path: PathLike) -> pa.Table:
    """Return a DataFrame as a pyarrow table: an unnamed index is left out, a named one kept."""
    named = [name for name in frame.index.names if name is not None]
    plain = (frame.reset_index() if named else frame).copy(deep=False)
    plain.attrs = {}
    plain.columns = plain.columns.map(str)
    try:
        return pa.Table.from_pandas(plain, preserve_index=False)
    except (pa.ArrowInvalid, pa.ArrowTypeError, ValueError) as error:
        raise ExportError(
            f"{path}: a column's values are of different types ({error})",
            hint="turn the column into text or numbers first",
            path=str(path),
        ) from None


def _with_receipt(frame: pd.DataFrame, path: PathLike) -> pa.Table:
    table = _table(frame, path)
    added = {KEY.encode(): json.dumps(receipt_of(frame)).encode()}
    if known := arrow_types.categories(table):
        added[_CATEGORIES] = json.dumps(known, default=str).encode()
    if receipt_of(frame):
        attrs = json.dumps({KEY: receipt_of(frame)}).encode()
        added[_PANDAS_ATTRS] = attrs  # where pandas.read_parquet looks for them
    return table.replace_schema_metadata({**(table.schema.metadata or {}), **added})


def _apostrophes(texts: pd.Series) -> pa.Array:
    risky = texts.str.startswith((*_FORMULA, "'"), na=False)
    return pa.array(texts.mask(risky, "'" + texts), pa.large_string())


def _written(path: PathLike, fill: Callable[[IO[bytes]], Any]) -> Path:
    hint = "Parquet and Arrow take columns of every type: .parquet, .arrow"
    with explained(path, "write", pa.ArrowException, ValueError, hint=hint):
        return write_whole(path, fill)


def _write_sidecar(frame: pd.DataFrame, target: Path, notes: Mapping[str, Any]) -> None:
    if target.exists() and not target.is_file():
        return  # a pipe or a terminal has no place for a sidecar
    head = {"version": _SIDECAR_VERSION, "file": target.name, "escaped": []}
    whole = {**head, **notes, "receipt": receipt_of(frame)}
    text = json.dumps(whole, indent=2, default=str) + "\n"
    write_whole(sidecar(target), lambda file: file.write(text.encode("utf-8")))
