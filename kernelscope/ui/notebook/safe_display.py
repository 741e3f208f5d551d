"""Escapes what a terminal would act on in the tables that a shell shows as text.

Processes choose the names and paths in a table. HTML escapes them; plain text, which a terminal
gets, must too.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from kernelscope.tables.results import Results, Tables
from kernelscope.text import printable

if TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell


def install(shell: InteractiveShell) -> None:
    """Have the shell escape the text of DataFrames, Series, and results of several tables."""
    formatter = shell.display_formatter.formatters["text/plain"]  # type: ignore[union-attr]
    for name in ("DataFrame", "Series"):
        formatter.for_type_by_name("pandas", name, _safe)
    formatter.for_type_by_name("kernelscope.comparison", "Comparison", _safe)
    for kind in (Tables, Results):
        formatter.for_type(kind, _safe)


def _safe(result: object, printer: Any, _cycle: bool) -> None:
    printer.text(printable(repr(result), keep="\n"))
