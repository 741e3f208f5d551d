"""Writes a result to the files that --csv, --parquet and --json name."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kernelscope import export
from kernelscope.tables import Results, Tables, by_name, with_name

if TYPE_CHECKING:
    import pandas as pd

_WRITERS: dict[str, Callable[[pd.DataFrame, Path], Any]] = {
    "csv": export.to_csv,
    "parquet": export.to_parquet,
    "json": export.to_json,
}


def write(result: pd.DataFrame | Tables | Results, wanted: Mapping[str, Any]) -> list[Path]:
    """Write the files that the checked options ask for and return their paths.

    wanted: "csv", "parquet", "json" to a path (None, standard output, is left out). A mapping's
    tables go to PATH with the table's name put in: x.csv, x.latency.csv, and of several probes
    x.syscount.calls.csv. Raises ExportError.
    """
    written = []
    for kind, writer in _WRITERS.items():
        path = wanted.get(kind)
        if path is None:
            continue
        for target, table in _targets(result, path):
            writer(table, target)
            written.append(target)
    return written


def _targets(
    result: pd.DataFrame | Tables | Results, path: Path
) -> list[tuple[Path, pd.DataFrame]]:
    return [(with_name(path, name), table) for name, table in by_name(result).items()]
