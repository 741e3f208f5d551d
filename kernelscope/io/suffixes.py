"""Which format a file's name asks for: the longest known extension that it ends in."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from kernelscope import converters
from kernelscope.errors import ExportError
from kernelscope.io.formats import FORMATS, Format


def of(path: Path) -> Format | None:
    """Return the format that a file's name asks for; None for an unknown extension."""
    known = [suffix for suffix in FORMATS if path.name.endswith(suffix) and path.name != suffix]
    return FORMATS[max(known, key=len)] if known else None


def required(path: Path) -> Format:
    """Return the format that a file's name asks for. Raises ExportError."""
    found = of(path)
    if found is None:
        raise ExportError(
            f"{path}: unrecognized file extension",
            hint=f"use one of {', '.join(FORMATS)}",
            path=str(path),
        )
    return found


def showing(*kinds: str) -> list[str]:
    """Return the extensions of the formats that show these ("table", "stacks", ...)."""
    return [each.suffix for each in FORMATS.values() if each.shows in kinds]


def files(value: Any) -> list[Path]:
    """Return the paths of files to write. Raises ValueError for an unknown extension."""
    texts: Sequence[Any] = value if isinstance(value, list) else [value]
    found = [converters.file_path(text) for text in texts]
    if any(of(path) is None for path in found):
        raise ValueError(f"unrecognized file extension; known are {', '.join(FORMATS)}")
    return found
