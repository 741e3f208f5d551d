"""Pictures as files: .svg, .png, .pdf."""

from __future__ import annotations

import io
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd

from kernelscope.io.atomic_write import PathLike, write_bytes

if TYPE_CHECKING:
    from kernelscope.plotting.figure import Figure


def to_picture(df: pd.DataFrame, path: PathLike) -> Path:
    """Write a table's default picture. Returns the path. Raises ExportError."""
    from kernelscope.plotting import choose  # matplotlib takes half a second to import

    return write_figure(choose.default(df), path)


def write_figure(figure: Figure, path: PathLike) -> Path:
    """Write a figure in the format of the path's extension. Raises ExportError."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format=Path(path).suffix[1:])
    return write_bytes(path, buffer.getvalue())
