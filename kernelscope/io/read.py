"""A table from a file that KernelScope wrote: `kernelscope.read("bio.parquet")`."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from kernelscope.errors import ExportError
from kernelscope.io import suffixes
from kernelscope.io.atomic_write import PathLike
from kernelscope.io.formats import FORMATS


def read(path: PathLike) -> pd.DataFrame:
    """Read a table that was written here: columns, types and receipt as they were.

    A CSV or JSON lines file without its sidecar is read with the types that its text suggests.
    Raises ExportError.
    """
    target = Path(path)
    kind = suffixes.of(Path(target.name.lower()))
    if kind is None or not kind.read:
        readable = [each.suffix for each in FORMATS.values() if each.read]
        raise ExportError(
            f"{path}: {target.suffix!r} files cannot be read back",
            hint=f"use one of {', '.join(readable)}",
            path=str(path),
        )
    return kind.reader()(target)
