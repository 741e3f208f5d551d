"""Writes a result where the command line wants it: files, and a table, CSV or JSON on stdout."""

from __future__ import annotations

import io
import shutil
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from kernelscope.text import printable
from kernelscope.tracing import options
from kernelscope.ui.cli import dataframe_text, histogram_text

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

    out = _SafeTerminal(sys.stdout) if sys.stdout.isatty() else sys.stdout
    for index, (name, table) in enumerate(by_name(result).items()):
        if name and kind != "json":
            print("\n" * bool(index) + f"# {printable(name)}")
        if kind == "table":
            print(terminal_text(table, terminal_width()))
        elif kind == "csv":
            table.to_csv(out, index=False, lineterminator="\n")
        else:
            shown = table.assign(table=name) if name else table
            shown.to_json(out, orient="records", lines=True, date_format="iso")


def terminal_width() -> int:
    """Return how many characters a line of the terminal has."""
    return shutil.get_terminal_size((100, 24)).columns


def terminal_text(table: pd.DataFrame, width: int) -> str:
    """Return a table for a terminal: bars for a histogram, rows for all others."""
    return histogram_text.histograms(table, width) or dataframe_text.table(table, width)


class _SafeTerminal(io.TextIOBase):
    """A terminal that gets CSV or JSON: what it would act on is shown escaped."""

    def __init__(self, stream: IO[str]) -> None:
        self._stream = stream

    def writable(self) -> bool:
        """Return True."""
        return True

    def write(self, text: str) -> int:
        """Write the text, safe to print."""
        self._stream.write(printable(text, keep="\n"))
        return len(text)
