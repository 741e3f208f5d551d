"""Output of a magic next to its result: lost events, files written, errors in a few lines."""

from __future__ import annotations

import re
import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from kernelscope.errors import KernelScopeError
from kernelscope.tables.results import by_name
from kernelscope.text import printable
from kernelscope.ui import messages
from kernelscope.ui.progress import in_notebook, note

if TYPE_CHECKING:
    import pandas as pd

    from kernelscope.tables.results import Results, Tables
    from kernelscope.tracing.plan import Plan


def show_loss(what: str, advice: str) -> None:
    """Report lost events above the result: in a notebook as a box, elsewhere on stderr."""
    text = messages.loss_text(what, advice)
    if not in_notebook():
        print(text, file=sys.stderr)
        return
    from IPython.display import display

    bundle = {"text/plain": text, "text/html": messages.loss_html(what, advice)}
    display(bundle, raw=True)  # type: ignore[no-untyped-call]


def check_files(plan: Plan) -> None:
    """Raise ParameterError for a file that the probes cannot fill."""
    from kernelscope.ui import outputs

    outputs.check(plan)


def write_files(result: pd.DataFrame | Tables | Results, wanted: Mapping[str, Any]) -> None:
    """Write the files; one that cannot be written is reported, and the result is not lost."""
    from kernelscope.ui import outputs

    written, failed = outputs.write(result, wanted)
    for path in written:
        note(printable(f"wrote {path}"))
    for error in failed:
        print(_text(error), file=sys.stderr)


def show_next_step(result: pd.DataFrame | Tables | Results, name: str) -> None:
    """Show below a run what to do with its result, in a notebook.

    name: of the variable that holds the result; "_" is the last result of the notebook.
    """
    if in_notebook() and (step := next_step(result, name)):
        note(f"next: {step}")


def next_step(result: pd.DataFrame | Tables | Results, name: str) -> str:
    """Return the methods that show the first table with rows best; "" without rows."""
    for table_name, table in by_name(result).items():
        if not len(table):
            continue
        table_of = f'{name}["{table_name}"].ks' if table_name else f"{name}.ks"
        if {"user_stack", "kernel_stack"} & set(table.columns):
            return f"{table_of}.flamegraph() draws its stacks"
        if any("_low" in str(column) for column in table.columns):
            return f"{table_of}.plot() draws it, {table_of}.percentiles() computes p50, p90 and p99"
        return f"{table_of}.plot() draws it, {table_of}.top() adds up its rows"
    return ""


def with_variable_hint(error: KernelScopeError, variables: Mapping[str, Any]) -> KernelScopeError:
    """Return the error, with a better hint if the name that clang misses is a Python variable."""
    found = re.search(r"undeclared identifier '(\w+)'", error.message)
    if found is not None and isinstance(variables.get(found[1]), int | float | str):
        name = found[1]
        error.hint = (
            f"{name} is a Python variable, which the C does not see: "
            f"pass it as a macro with -D {name}={{{name}}}"
        )
    return error


def brief(error: KernelScopeError, cell: str | None) -> KernelScopeError:
    """Have IPython show the error in a few lines. It is still raised: "Run All" stops there."""
    lines = _text(error, cell).splitlines()
    error._render_traceback_ = lambda: lines  # type: ignore[attr-defined]
    return error


def _text(error: KernelScopeError, cell: str | None = None) -> str:
    lines_above = 0 if cell is None else 1  # the cell's line 1 is the %%ebpf line itself
    return messages.error_text(error, lines_above)
