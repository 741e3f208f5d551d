"""A result in the file that its name asks for: `kernelscope.save(result, "bio.parquet")`.

The longest known end of a name decides:

    .csv .parquet .json .jsonl .arrow .feather      any table; `kernelscope.read` reads it back
    .trace.json .trace.json.gz                      events with a "time", for Perfetto
    .pb.gz .folded .speedscope.json .html           tables with stacks: pprof, flame graphs
    .svg .png .pdf                                  any table that has a picture
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from kernelscope.errors import AnalysisError, ExportError
from kernelscope.io import suffixes, tabular
from kernelscope.io.tabular import PathLike
from kernelscope.tables.results import by_name, with_name


def save(result: pd.DataFrame | Mapping[str, Any], path: PathLike) -> list[Path]:
    """Write a result as the kind of file that the path ends in. Returns the paths written.

    result: a table, or a mapping of tables, as a run of several gives. A mapping's tables go to
    files of their own, the table's name put in: bio.csv, bio.latency.csv. Those that do not have
    what that kind of file shows (times, stacks) are left out. A trace shows all in one file.

    Raises ExportError for an unknown name or where a file cannot be written, AnalysisError where no
    table has what that kind of file shows.
    """
    end = suffixes.of(Path(path))
    if end in suffixes.TRACES:
        return [_trace(result, path)]
    written, missing = [], None
    for name, table in by_name(result).items():
        try:
            written.append(save_table(table, with_name(Path(path), name, end)))
        except AnalysisError as error:
            missing = missing or error
    if missing is not None and not written:
        raise missing
    return written


def save_table(df: pd.DataFrame, path: PathLike) -> Path:
    """Write one table as the kind of file that the path ends in. Returns the path.

    Raises ExportError for an unknown name or where the file cannot be written, AnalysisError where
    the table does not have what that kind of file shows.
    """
    end = suffixes.of(Path(path))
    if end is None:
        raise ExportError(
            f"{path}: the name's end says no kind of file",
            hint=f"end it with one of {', '.join(suffixes.ALL)}",
            path=str(path),
        )
    return WRITERS[end](df, path)


def _trace(result: pd.DataFrame | Mapping[str, Any], path: PathLike) -> Path:
    from kernelscope.io import chrome_trace

    return chrome_trace.to_chrome_trace(result, path)


def _pprof(df: pd.DataFrame, path: PathLike) -> Path:
    from kernelscope.io import chrome_trace

    return chrome_trace.to_pprof(df, path)


def _flames(df: pd.DataFrame, path: PathLike) -> Path:
    from kernelscope.io import flame_files

    return flame_files.save(df, path)


def _picture(df: pd.DataFrame, path: PathLike) -> Path:
    from kernelscope.plotting import choose  # matplotlib takes half a second to import

    return tabular.write_picture(choose.default(df), path)


WRITERS: dict[str, Callable[[pd.DataFrame, PathLike], Path]] = {
    ".csv": tabular.to_csv,
    ".parquet": tabular.to_parquet,
    **dict.fromkeys((".json", ".jsonl"), tabular.to_json),
    **dict.fromkeys((".arrow", ".feather"), tabular.to_arrow),
    **dict.fromkeys(suffixes.TRACES, _trace),
    **dict.fromkeys(suffixes.STACKS, _flames),
    ".pb.gz": _pprof,
    **dict.fromkeys(suffixes.PICTURES, _picture),
}
