"""Writes a result where the command line wants it: files, and a table, CSV or JSON on stdout."""

from __future__ import annotations

import io
import os
import shutil
import stat
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kernelscope.text import printable
from kernelscope.tracing import options

if TYPE_CHECKING:
    import pandas as pd

    from kernelscope.errors import KernelScopeError
    from kernelscope.tables.results import Results, Tables


def write(
    result: pd.DataFrame | Tables | Results, wanted: Mapping[str, Any]
) -> list[KernelScopeError]:
    """Write the files that were asked for and standard output; return why files failed.

    wanted: the checked output options; None as a path is standard output.
    """
    asked = [kind for kind in options.FILES if kind in wanted]
    written: list[Path] = []
    failed: list[KernelScopeError] = []
    if asked:
        from kernelscope.ui import outputs  # importing pyarrow's writers takes 25 ms

        written, failed = outputs.write(result, wanted)
    for path in written:
        print(printable(f"wrote {path}"), file=sys.stderr)
    to_stdout = [kind for kind in asked if wanted[kind] is None]
    for kind in to_stdout:
        _to_stdout(result, kind)
    if sys.stdout.isatty() and not to_stdout:
        _to_stdout(result, "table")
    elif not asked or (failed and not to_stdout):  # the rows must not be lost
        _to_stdout(result, "csv")
    sys.stdout.flush()
    return failed


def to_terminal(wanted: Mapping[str, Any]) -> bool:
    """Return whether standard output is a terminal that gets tables, not CSV or JSON."""
    return sys.stdout.isatty() and not any(wanted[k] is None for k in options.FILES if k in wanted)


def pipe_kind(wanted: Mapping[str, Any]) -> str | None:
    """Return what a pipe on standard output gets, "csv" or "json"; None if it is no pipe."""
    try:
        is_pipe = stat.S_ISFIFO(os.fstat(sys.stdout.fileno()).st_mode)
    except (OSError, ValueError):  # not a file at all
        return None
    asked = [kind for kind in options.FILES if kind in wanted]
    if not is_pipe or asked not in ([], ["csv"], ["json"]) or any(wanted[kind] for kind in asked):
        return None
    return asked[0] if asked else "csv"


def without(
    result: pd.DataFrame | Tables, table: str, wanted: Mapping[str, Any]
) -> pd.DataFrame | Tables | None:
    """Return what is left to write of a result whose one table has been printed already.

    Everything if files are wanted: they get the whole result.
    """
    from kernelscope.tables.results import Tables

    if any(kind in wanted for kind in options.FILES):
        return result
    if not isinstance(result, Tables):
        return None
    return Tables({n: df for n, df in result.items() if n != table}, result.receipt)


def _to_stdout(result: pd.DataFrame | Tables | Results, kind: str) -> None:
    from kernelscope.tables.results import by_name

    for index, (name, table) in enumerate(by_name(result).items()):
        if name and kind != "json":
            print("\n" * bool(index) + f"# {printable(name)}")
        if kind == "table":
            print(terminal_text(table, terminal_width()))
        else:
            print_rows(table.assign(table=name) if name and kind == "json" else table, kind)


def print_rows(table: pd.DataFrame, kind: str, *, header: bool = True) -> None:
    """Print a table as the files of that kind ("csv", "json") have it; safely to a terminal."""
    from kernelscope.io import tabular

    is_terminal = sys.stdout.isatty()
    sys.stdout.flush()
    out = io.BytesIO() if is_terminal else sys.stdout.buffer
    if kind == "csv":
        tabular.write_csv(table, out, header=header)
    else:
        tabular.write_json(table, out)
    if isinstance(out, io.BytesIO) and is_terminal:
        print(printable(out.getvalue().decode("utf-8"), keep="\n"), end="")


def terminal_width() -> int:
    """Return how many characters a line of the terminal has."""
    return shutil.get_terminal_size((100, 24)).columns


def terminal_text(table: pd.DataFrame, width: int) -> str:
    """Return a table for a terminal: bars for a histogram, rows for all others."""
    from kernelscope.ui.cli import dataframe_text, histogram_text  # a pipe needs neither

    return histogram_text.histograms(table, width) or dataframe_text.table(table, width)
