"""Writes a result where the command line wants it: files, and a table, CSV or JSON on stdout."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kernelscope.tracing import options
from kernelscope.ui.cli import dataframe_text

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
        print(f"wrote {path}", file=sys.stderr)
    to_stdout = [kind for kind in asked if wanted[kind] is None]
    for kind in to_stdout:
        _to_stdout(result, kind)
    if sys.stdout.isatty() and not to_stdout:
        _to_stdout(result, "table")
    elif not asked or (failed and not to_stdout):  # the rows must not be lost
        _to_stdout(result, "csv")
    sys.stdout.flush()
    return failed


def _to_stdout(result: pd.DataFrame | Tables | Results, kind: str) -> None:
    from kernelscope.tables.results import by_name

    for index, (name, table) in enumerate(by_name(result).items()):
        if name and kind != "json":
            print("\n" * bool(index) + f"# {name}")
        if kind == "table":
            print(dataframe_text.table(table, shutil.get_terminal_size((100, 24)).columns))
        elif kind == "csv":
            table.to_csv(sys.stdout, index=False, lineterminator="\n")
        else:
            shown = table.assign(table=name) if name else table
            shown.to_json(sys.stdout, orient="records", lines=True, date_format="iso")
