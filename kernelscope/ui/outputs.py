"""Writes a result to the files of --csv, --parquet, --json, --arrow and --save."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kernelscope.errors import AnalysisError, ExportError, KernelScopeError, ParameterError
from kernelscope.io import suffixes
from kernelscope.io.formats import FORMATS
from kernelscope.io.save import save
from kernelscope.tables.results import Results, Tables, by_name, with_name

if TYPE_CHECKING:
    import pandas as pd

    from kernelscope.tracing.plan import Plan

_STACKS = {"user_stack", "kernel_stack"}
_KINDS = ("csv", "parquet", "json", "arrow")  # the format is fixed, whatever the extension


def check(plan: Plan) -> None:
    """Raise ParameterError for a file that no table of the probes can fill: stacks without any.

    What a C program records is known only when it is compiled.
    """
    columns = [c for request in plan.requests for table in request.tables for c in table.columns]
    if not columns or _STACKS & {column.kind for column in columns}:
        return
    for path in plan.output.get("save") or []:
        found = suffixes.of(path)
        if found is not None and found.shows == "stacks":
            names = " and ".join(request.name for request in plan.requests)
            raise ParameterError(
                f"{path}: {names} {'records' if len(plan.requests) == 1 else 'record'} no stacks",
                hint=f"{found.suffix} files show stacks, as of profile and offcputime",
                name="save",
            )


def write(
    result: pd.DataFrame | Tables | Results, wanted: Mapping[str, Any]
) -> tuple[list[Path], list[KernelScopeError]]:
    """Write the files that the checked options ask for; return the paths and the errors.

    wanted: a path for "csv", "parquet", "json" and "arrow" (None, standard output, is skipped), a
    list of paths for "save". Several tables go to PATH with the name of the table inserted:
    x.latency.csv, and for several probes x.syscount.calls.csv.
    """
    jobs: list[Callable[[], Path | list[Path]]] = []
    for kind in _KINDS:
        if (path := wanted.get(kind)) is not None:
            writer, own = FORMATS[f".{kind}"].writer(), suffixes.of(path)
            end = own.suffix if own else None
            tables = by_name(result).items()
            jobs += [partial(writer, df, with_name(path, name, end)) for name, df in tables]
    jobs += [partial(save, result, path) for path in wanted.get("save") or []]
    written: list[Path] = []
    failed: list[KernelScopeError] = []
    for job in jobs:
        try:
            made = job()
        except (ExportError, AnalysisError) as error:
            failed.append(error)
        else:
            written += made if isinstance(made, list) else [made]
    return written, failed
