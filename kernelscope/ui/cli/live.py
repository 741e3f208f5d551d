"""`kernelscope live`: the tables and histograms of a run, drawn again every second."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

from kernelscope.errors import ParameterError
from kernelscope.tables.results import by_name
from kernelscope.text import printable
from kernelscope.tracing.ctrl_c import stop_on_ctrl_c
from kernelscope.ui.cli import dataframe_text, histogram_text

if TYPE_CHECKING:
    import pandas as pd

    from kernelscope.tracing.session import Run

_EVERY_S = 1.0
_HOME = "\x1b[H"
_CLEAR_LINE = "\x1b[K"
_CLEAR_BELOW = "\x1b[J"
_CLEAR = "\x1b[2J"


def require_terminal() -> None:
    """Raise ParameterError if there is no terminal to draw on."""
    if not sys.stdout.isatty():
        raise ParameterError(
            "a live view needs a terminal", hint="kernelscope run NAME prints CSV to a pipe"
        )


def show(runs: Sequence[Run]) -> None:
    """Draw what the runs found until they end; Ctrl-C ends them."""
    sys.stdout.write(_CLEAR)
    with stop_on_ctrl_c([stream for run in runs for stream in run.streams]):
        while True:
            ended = [run.wait(_EVERY_S / len(runs)) for run in runs]
            width, height = shutil.get_terminal_size((100, 24))
            sys.stdout.write(frame(runs, width, height))
            sys.stdout.flush()
            if all(ended):
                break
    for run in runs:
        run.result(warn=False)  # raises what ended it


def frame(runs: Sequence[Run], width: int, height: int) -> str:
    """Return one picture: a line about each run, and as much of its tables as fits."""
    lines: list[str] = []
    for run in runs:
        lines += _lines(run, width, (height - 1) // len(runs))
    return _HOME + "".join(f"{line}{_CLEAR_LINE}\n" for line in lines) + _CLEAR_BELOW


def _lines(run: Run, width: int, height: int) -> list[str]:
    lost = sum(run.lost.values())
    state = f"{run.name}: {run.state}, {run.elapsed_s:.0f} s, {run.rows:,} rows"
    lines = [f"{state}{f', {lost:,} LOST' if lost else ''}   (Ctrl-C ends it)"[:width]]
    tables = by_name(run.peek())
    room = max(4, (height - 2 - len(tables)) // max(1, len(tables)))
    for name, table in tables.items():
        lines += [f"# {printable(name)}"] if name else [""]
        lines += _body(table, width, room)
    return lines[:height]


def _body(table: pd.DataFrame, width: int, room: int) -> list[str]:
    """Return the histogram, the largest rows, or the latest events of a table."""
    bars = histogram_text.histograms(table, width)
    if bars is not None:
        return bars.splitlines()[:room]
    is_events = any(table[name].dtype.kind == "M" for name in table.columns)
    rows = table.tail(room - 1) if is_events else table
    return dataframe_text.table(rows, width, room - 1).splitlines()[:room]
