"""The kinds of files that results are written to: one record for each extension.

To add one, write its module, with a function `(df, path) -> path`, and add a line here.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class Format:
    """One kind of file.

    shows: "table" (any), "events" (tables with a "time"; a whole result goes into one file),
    "stacks", or "picture". write, read: "module:function", imported when used, since pyarrow and
    matplotlib are slow to import. The writer of stacks also takes `value` and `title`.
    """

    suffix: str
    shows: str
    write: str
    read: str = ""

    def writer(self) -> Callable[..., Path]:
        """Return the function that writes: `(df, path) -> path`."""
        write: Callable[..., Path] = _function(self.write)
        return write

    def reader(self) -> Callable[[Path], pd.DataFrame]:
        """Return the function that reads what the writer wrote: `path -> df`."""
        read: Callable[[Path], pd.DataFrame] = _function(self.read)
        return read


def _function(place: str) -> Any:
    module, _, name = place.partition(":")
    return getattr(import_module(module), name)


_IO = "kernelscope.io"
_PARQUET = (f"{_IO}.tabular:to_parquet", f"{_IO}.tabular:read_parquet")
_ARROW = (f"{_IO}.tabular:to_arrow", f"{_IO}.tabular:read_arrow")
_JSON = (f"{_IO}.tabular:to_json", f"{_IO}.tabular:read_json")

FORMATS: dict[str, Format] = {
    each.suffix: each
    for each in (
        Format(".csv", "table", f"{_IO}.tabular:to_csv", f"{_IO}.tabular:read_csv"),
        Format(".parquet", "table", *_PARQUET),
        Format(".json", "table", *_JSON),
        Format(".jsonl", "table", *_JSON),
        Format(".arrow", "table", *_ARROW),
        Format(".feather", "table", *_ARROW),
        Format(".trace.json", "events", f"{_IO}.chrome_trace:to_chrome_trace"),
        Format(".trace.json.gz", "events", f"{_IO}.chrome_trace:to_chrome_trace"),
        Format(".pb.gz", "stacks", f"{_IO}.pprof:to_pprof"),
        Format(".folded", "stacks", f"{_IO}.flame_files:to_folded"),
        Format(".speedscope.json", "stacks", f"{_IO}.flame_files:to_speedscope"),
        Format(".html", "stacks", f"{_IO}.flame_files:to_page"),
        Format(".svg", "picture", f"{_IO}.pictures:to_picture"),
        Format(".png", "picture", f"{_IO}.pictures:to_picture"),
        Format(".pdf", "picture", f"{_IO}.pictures:to_picture"),
    )
}
