"""A result in the file that its name asks for: `df.ks.save("bio.parquet")`.

The longest known end of a name decides:

    .csv .parquet .json .jsonl .arrow .feather      any table; `kernelscope.read` reads it back
    .trace.json .trace.json.gz                      events with a "time", for Perfetto
    .pb.gz .folded .speedscope.json .html           tables with stacks: pprof, flame graphs
    .svg .png .pdf                                  any table that has a picture
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pandas as pd

from kernelscope import export
from kernelscope.errors import ExportError
from kernelscope.export import PathLike


def save(df: pd.DataFrame, path: PathLike) -> Path:
    """Write a table to a file of the kind that its name ends in. Returns the path.

    Raises ExportError for an unknown name or where the file cannot be written, AnalysisError where
    the table does not have what that kind of file shows: times, stacks.
    """
    name = Path(path).name
    known = [suffix for suffix in _WRITERS if name.endswith(suffix) and name != suffix]
    if not known:
        raise ExportError(
            f"{path}: the name's end says no kind of file",
            hint=f"end it with one of {', '.join(_WRITERS)}",
            path=str(path),
        )
    return _WRITERS[max(known, key=len)](df, path)


def _trace(df: pd.DataFrame, path: PathLike) -> Path:
    from kernelscope import trace_export

    return trace_export.to_chrome_trace(df, path)


def _pprof(df: pd.DataFrame, path: PathLike) -> Path:
    from kernelscope import trace_export

    return trace_export.to_pprof(df, path)


def _flames(df: pd.DataFrame, path: PathLike) -> Path:
    from kernelscope import flamegraph

    return flamegraph.save(df, Path(path))


def _picture(df: pd.DataFrame, path: PathLike) -> Path:
    from kernelscope import plot  # matplotlib takes half a second to import

    return export.write_picture(plot.default(df), path)


_WRITERS: dict[str, Callable[[pd.DataFrame, PathLike], Path]] = {
    ".csv": export.to_csv,
    ".parquet": export.to_parquet,
    **dict.fromkeys((".json", ".jsonl"), export.to_json),
    **dict.fromkeys((".arrow", ".feather"), export.to_arrow),
    **dict.fromkeys((".trace.json", ".trace.json.gz"), _trace),
    ".pb.gz": _pprof,
    **dict.fromkeys((".folded", ".speedscope.json", ".html"), _flames),
    **dict.fromkeys((".svg", ".png", ".pdf"), _picture),
}
