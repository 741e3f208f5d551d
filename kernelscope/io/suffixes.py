"""Which kind of file a name asks for, by the longest known end that it has."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from kernelscope import converters

TABLES = (".csv", ".parquet", ".json", ".jsonl", ".arrow", ".feather")
TRACES = (".trace.json", ".trace.json.gz")
STACKS = (".pb.gz", ".folded", ".speedscope.json", ".html")
PICTURES = (".svg", ".png", ".pdf")
ALL = (*TABLES, *TRACES, *STACKS, *PICTURES)


def of(path: Path) -> str | None:
    """Return the end of a file's name that says its kind; None where it says none."""
    known = [end for end in ALL if path.name.endswith(end) and path.name != end]
    return max(known, key=len, default=None)


def files(value: Any) -> list[Path]:
    """Return the paths of files to write. Raises ValueError for a name that says no kind."""
    texts: Sequence[Any] = value if isinstance(value, list) else [value]
    found = [converters.file_path(text) for text in texts]
    for path in found:
        if of(path) is None:
            raise ValueError(f"its end says no kind of file; {', '.join(ALL)} do")
    return found
