"""A result in a file: `kernelscope.save(result, "bio.parquet")`; the extension picks the format.

.csv .parquet .json .jsonl .arrow .feather      any table; `kernelscope.read` reads it back
.trace.json .trace.json.gz                      events with a "time", for Perfetto
.pb.gz .folded .speedscope.json .html           tables with stacks: pprof, flame graphs
.svg .png .pdf                                  the picture of any table
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from kernelscope.errors import AnalysisError
from kernelscope.io import suffixes
from kernelscope.io.atomic_write import PathLike
from kernelscope.tables.results import by_name, with_name


def save(result: pd.DataFrame | Mapping[str, Any], path: PathLike) -> list[Path]:
    """Write a result in the format of the path's extension. Return the paths written.

    result: a table, or a mapping of tables as a run of several returns. The tables of a mapping go
    to files of their own, with the table's name inserted: bio.csv, bio.latency.csv. Tables that
    lack what the format shows (times, stacks) are left out. A trace has all tables in one file.

    Raises ExportError for an unknown extension or where a file cannot be written, AnalysisError
    where no table has what the format shows.
    """
    target = Path(path)
    kind = suffixes.required(target)
    write = kind.writer()
    if kind.shows == "events":
        return [write(result, path)]
    written, missing = [], None
    for name, table in by_name(result).items():
        try:
            written.append(write(table, with_name(target, name, kind.suffix)))
        except AnalysisError as error:
            missing = missing or error
    if missing is not None and not written:
        raise missing
    return written


def save_table(df: pd.DataFrame, path: PathLike) -> Path:
    """Write one table in the format of the path's extension. Return the path.

    Raises ExportError for an unknown extension or where the file cannot be written, AnalysisError
    where the table lacks what the format shows.
    """
    return suffixes.required(Path(path)).writer()(df, path)
