"""Prints rows to the terminal, or to a pipe, as they happen."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from kernelscope.tables.results import by_name
from kernelscope.tracing.ctrl_c import stop_on_ctrl_c
from kernelscope.ui.cli.columns import Fitted, fit, text_columns, without_rows
from kernelscope.ui.cli.dataframe_text import left_out

if TYPE_CHECKING:
    import pandas as pd

    from kernelscope.tracing.session import Run


def streamed_table(run: Run) -> str | None:
    """Return the one table of the run whose rows can be printed as they happen; None without.

    Rows with stacks wait for the end of the run: only then their frames have names.
    """
    stream = run.stream
    events = [name for name in stream.names if not stream.is_map(name)]
    if run.request.table is not None:
        events = [name for name in events if name == run.request.table]
    if len(events) != 1:
        return None
    kinds = {column.kind for column in stream.describe(events[0])[1]}
    return None if kinds & {"user_stack", "kernel_stack"} else events[0]


def print_rows(run: Run, table: str, width: int) -> None:
    """Print the rows of a table until the run ends; Ctrl-C ends it early, a second one at once."""
    rows = _Rows(width)
    with stop_on_ctrl_c(run.streams):
        for batch in run:
            if batch.table == table:
                rows.show(batch.frame())
    rows.end(table)


def pipe_rows(run: Run, table: str, kind: str) -> None:
    """Write the rows of a table to a pipe, as CSV or JSON lines, until the run ends."""
    from kernelscope.ui.cli import output

    first = True
    with stop_on_ctrl_c(run.streams):
        for batch in run:
            if batch.table == table:
                output.print_rows(batch.frame(), kind, header=first)
                sys.stdout.flush()
                first = False
    if first and kind == "csv":  # no rows: the names of the columns at least
        for empty in by_name(run.result(warn=False)).values():
            output.print_rows(empty, kind)


class _Rows:
    """Rows under one heading; the first batch decides how wide the columns are."""

    def __init__(self, width: int) -> None:
        self._width = width
        self._fitted: Fitted | None = None
        self._count = 0

    def show(self, df: pd.DataFrame) -> None:
        """Print the rows of a batch."""
        if not len(df):
            return
        columns = text_columns(df, streaming=True)
        if self._fitted is None:
            self._fitted = fit(without_rows(columns), self._width)
            print(self._fitted.heading())
        shown = [column.name for column in self._fitted.columns]
        texts = [column.texts for column in columns if column.name in shown]
        for row in zip(*texts, strict=True):
            print(self._fitted.line(row))
        print(end="", flush=True)
        self._count += len(df)

    def end(self, name: str) -> None:
        """Report what was not shown."""
        if self._fitted is None:
            print(f"{name}: no rows")
            return
        hidden = Fitted((), (), hidden=self._fitted.hidden)
        print("\n".join([f"… {self._count:,} rows", *left_out(hidden, self._width)]))
