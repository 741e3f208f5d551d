"""The result of a program with several tables: a mapping of names to DataFrames that shows each."""

from __future__ import annotations

import html
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas as pd


class Tables(Mapping[str, "pd.DataFrame"]):
    """Tables by name, in the program's order. `receipt` is what every table's attrs carry too."""

    def __init__(self, tables: Mapping[str, pd.DataFrame], receipt: Mapping[str, Any]) -> None:
        self._tables = dict(tables)
        self.receipt = dict(receipt)

    def __getitem__(self, name: str) -> pd.DataFrame:
        if name not in self._tables:
            raise KeyError(f"{name} (there are: {', '.join(self._tables) or 'no tables'})")
        return self._tables[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._tables)

    def __len__(self) -> int:
        return len(self._tables)

    def _ipython_key_completions_(self) -> list[str]:
        return list(self._tables)

    def __repr__(self) -> str:
        if not self._tables:
            return "no tables: the program has no map, ring or bpf_trace_printk to read"
        parts = [f"{_title(name, table)}\n{table!r}" for name, table in self._tables.items()]
        return "\n\n".join(parts)

    def _repr_html_(self) -> str:
        if not self._tables:
            return f"<p>{html.escape(repr(self))}</p>"
        parts = []
        for name, table in self._tables.items():
            shown = table._repr_html_()  # type: ignore[operator]
            parts.append(f"<p><b>{html.escape(_title(name, table))}</b></p>\n{shown}")
        return "\n".join(parts)


def _title(name: str, table: pd.DataFrame) -> str:
    return f"{name}: {len(table):,} row{'' if len(table) == 1 else 's'}"
