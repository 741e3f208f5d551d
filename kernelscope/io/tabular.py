"""Results as files: CSV, Parquet, JSON lines, Arrow; and back again.

A table's receipt, `df.attrs["kernelscope"]`, goes with it: into Parquet's or Arrow's own metadata
under the key "kernelscope", and for CSV and JSON lines into a sidecar, `bio.csv` ->
`bio.receipt.json`, together with the columns' types, so that `read` gives back the DataFrame that
was written.

A file appears whole or not at all: it is written beside its place and renamed into it.

CSV is plain UTF-8 with a header row, times in ISO 8601 to the nanosecond, texts and times in
quotes, numbers plain; an empty text is "" and a missing value nothing at all. Data is never
changed. A process can choose a name such as `=1+1` that a spreadsheet would take for a formula, so
where a file goes to one, `to_csv(..., escape_formulas=True)` puts an apostrophe before such texts
(and `read` takes it off again).
"""

from __future__ import annotations

import contextlib
import csv
import errno
import io
import json
import os
import secrets
import stat
from collections.abc import Callable, Iterator, Mapping
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
from kernelscope.tables.attrs import KEY, receipt_of

_CATEGORIES = b"kernelscope.categories"
_FORMULA = ("=", "+", "-", "@", "\t", "\r")
_SIDECAR_VERSION = 1
_ROWS_AT_A_TIME = 65_536

PathLike = str | os.PathLike[str]


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
    options = pyarrow.csv.WriteOptions(include_header=False, quoting_style="needed")

    def write(file: IO[bytes]) -> None:
        header = io.StringIO()
        csv.writer(header, lineterminator="\n").writerow(table.column_names)
        file.write(header.getvalue().encode("utf-8"))
        pyarrow.csv.write_csv(arrow_types.plain(table), file, options)

    target = _write(path, write)
    _write_sidecar(frame, target, {**notes, "escaped": escaped})
    return target


def to_json(frame: pd.DataFrame, path: PathLike) -> Path:
    """Write a table as JSON lines, one object a row, and its sidecar. Raises ExportError."""
    table = _table(frame, path)

    def write(file: IO[bytes]) -> None:
        for lines in arrow_types.json_lines(arrow_types.plain(table)):
            file.write(lines)

    target = _write(path, write)
    _write_sidecar(frame, target, arrow_types.notes(table))
    return target


def to_parquet(frame: pd.DataFrame, path: PathLike) -> Path:
    """Write a table as Parquet, its receipt in the schema's metadata. Raises ExportError."""
    table = _with_receipt(frame, path)
    return _write(path, lambda file: pyarrow.parquet.write_table(table, file))


def to_arrow(frame: pd.DataFrame, path: PathLike) -> Path:
    """Write a table as an Arrow file, which is Feather too, uncompressed, so that it can be mapped.

    The receipt is in the schema's metadata. Raises ExportError.
    """
    table = _with_receipt(frame, path)

    def write(file: IO[bytes]) -> None:
        with pa.ipc.new_file(file, table.schema) as writer:
            writer.write_table(table, max_chunksize=_ROWS_AT_A_TIME)

    return _write(path, write)


def sidecar(path: PathLike) -> Path:
    """Return where the receipt of a CSV or JSON lines file is kept: bio.csv -> bio.receipt.json."""
    return Path(path).with_suffix(".receipt.json")


# --- reading -------------------------------------------------------------------------------------


def read(path: PathLike) -> pd.DataFrame:
    """Read a table that was written here: columns, types and receipt as they were.

    A CSV or JSON lines file without its sidecar is read with the types it seems to have.
    Raises ExportError.
    """
    reader = _reader(path)
    with _explained(path, "read"):
        return reader(Path(path))


def _read_parquet(path: Path) -> pd.DataFrame:
    with path.open("rb") as file:
        return _frame_with_receipt(pyarrow.parquet.read_table(file))


def _read_arrow(path: Path) -> pd.DataFrame:
    with path.open("rb") as file, pa.ipc.open_file(file) as reader:
        return _frame_with_receipt(reader.read_all())


def _frame_with_receipt(table: pa.Table) -> pd.DataFrame:
    metadata = table.schema.metadata or {}
    receipt, known = (metadata.get(key) for key in (KEY.encode(), _CATEGORIES))
    frame = table.to_pandas()
    if known:
        frame = arrow_types.with_categories(frame, table.schema, json.loads(known))
    return _described(frame, json.loads(receipt) if receipt else {})


def _read_csv(path: Path) -> pd.DataFrame:
    notes = _sidecar_of(path)
    convert = pyarrow.csv.ConvertOptions(
        column_types=arrow_types.readable(notes),
        null_values=[""] if notes else None,
        strings_can_be_null=bool(notes),
        quoted_strings_can_be_null=False,
    )
    parse = pyarrow.csv.ParseOptions(newlines_in_values=True)
    table = pyarrow.csv.read_csv(path, parse_options=parse, convert_options=convert)
    frame = arrow_types.restored(table, notes)
    for name in notes.get("escaped", []):
        frame[name] = frame[name].str.removeprefix("'")
    return _described(frame, notes.get("receipt", {}))


def _read_json(path: Path) -> pd.DataFrame:
    notes = _sidecar_of(path)
    schema = arrow_types.readable(notes)
    if path.stat().st_size:
        parse = pyarrow.json.ParseOptions(explicit_schema=schema, newlines_in_values=False)
        table = pyarrow.json.read_json(path, parse_options=parse)
    else:
        table = schema.empty_table()
    return _described(arrow_types.restored(table, notes), notes.get("receipt", {}))


def _sidecar_of(path: Path) -> dict[str, Any]:
    beside = sidecar(path)
    if not beside.exists():
        return {}
    notes = json.loads(beside.read_text("utf-8"))
    if notes.get("version") != _SIDECAR_VERSION:
        raise ExportError(
            f"{beside}: sidecar version {notes.get('version')!r} is not known",
            hint="it was written by a newer KernelScope; upgrade, or move it away to read the data",
            path=str(beside),
        )
    return dict(notes)


def _described(frame: pd.DataFrame, receipt: Any) -> pd.DataFrame:
    if receipt:
        frame.attrs[KEY] = receipt
    return frame


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
    return table.replace_schema_metadata({**(table.schema.metadata or {}), **added})


def _apostrophes(texts: pd.Series) -> pa.Array:
    risky = texts.str.startswith((*_FORMULA, "'"), na=False)
    return pa.array(texts.mask(risky, "'" + texts), pa.large_string())


def _write_sidecar(frame: pd.DataFrame, target: Path, notes: Mapping[str, Any]) -> None:
    if target.exists() and not target.is_file():
        return  # a pipe or a terminal has no place beside it
    head = {"version": _SIDECAR_VERSION, "file": target.name, "escaped": []}
    whole = {**head, **notes, "receipt": receipt_of(frame)}
    text = json.dumps(whole, indent=2, default=str) + "\n"
    _write(sidecar(target), lambda file: file.write(text.encode("utf-8")))


def write_file(path: PathLike, content: bytes) -> Path:
    """Write a file whole or not at all. Returns the path. Raises ExportError."""
    return _write(path, lambda file: file.write(content))


def write_picture(figure: Any, path: PathLike) -> Path:
    """Write a figure as the kind of picture that the path ends in. Raises ExportError."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format=Path(path).suffix[1:])
    return write_file(path, buffer.getvalue())


# --- files ---------------------------------------------------------------------------------------


def _write(path: PathLike, fill: Callable[[IO[bytes]], Any]) -> Path:
    """Write a file whole or not at all. A device or a pipe is written to as it is."""
    target = Path(path)
    with _explained(path, "write"):
        if target.is_dir():
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(target))
        if target.exists() and not stat.S_ISREG(target.stat().st_mode):
            with target.open("wb") as file:
                fill(file)
            return target
        final = Path(os.path.realpath(target))
        temporary = final.with_name(f".{final.name}.{secrets.token_hex(4)}.tmp")
        try:
            with temporary.open("xb") as file:
                fill(file)
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(final)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise
    return target


_STEPS = {
    errno.ENOENT: ("there is no such directory or file", "create the directory, or check the name"),
    errno.ENOTDIR: ("a part of the path is a file", "check the path"),
    errno.EACCES: ("permission denied", "choose a directory that you may write to"),
    errno.EPERM: ("permission denied", "choose a directory that you may write to"),
    errno.EROFS: ("the file system is read-only", "choose a directory that you may write to"),
    errno.EISDIR: ("it is a directory", "add a file's name to it"),
    errno.ENOSPC: ("the disk is full", "free some space, or write to another disk"),
    errno.EDQUOT: ("the disk quota is used up", "free some space, or write to another disk"),
    errno.ENAMETOOLONG: ("the name is too long", "choose a shorter one"),
}


@contextlib.contextmanager
def _explained(path: PathLike, action: str) -> Iterator[None]:
    """Turn what the system says into an ExportError with a next step."""
    try:
        yield
    except OSError as error:
        why, hint = _STEPS.get(error.errno or 0, (error.strerror or str(error), None))
        raise ExportError(f"cannot {action} {path}: {why}", hint=hint, path=str(path)) from error
    except (pa.ArrowException, ValueError) as error:
        raise ExportError(
            f"cannot {action} {path}: {error}",
            hint="check that the file is what its suffix says"
            if action == "read"
            else "Parquet and Arrow take columns of every type: .parquet, .arrow",
            path=str(path),
        ) from error


_READERS: dict[str, Callable[[Path], pd.DataFrame]] = {
    ".csv": _read_csv,
    ".parquet": _read_parquet,
    ".json": _read_json,
    ".jsonl": _read_json,
    ".arrow": _read_arrow,
    ".feather": _read_arrow,
}


def _reader(path: PathLike) -> Callable[[Path], pd.DataFrame]:
    suffix = Path(path).suffix.lower()
    if suffix not in _READERS:
        raise ExportError(
            f"{path}: the suffix {suffix!r} names no format",
            hint=f"use one of {', '.join(_READERS)}",
            path=str(path),
        )
    return _READERS[suffix]
