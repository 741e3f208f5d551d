"""Results with several tables, as mappings: of one program, or of several probes."""

from __future__ import annotations

import html
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from pathlib import Path

    import pandas as pd


_NOTHING_TO_READ = "the program has no map, ring or bpf_trace_printk to read"

Found = TypeVar("Found", bound="pd.DataFrame | Tables", covariant=True)


class _TableMapping(Mapping[str, Found]):
    """A mapping that shows every table."""

    def __init__(self, found: Mapping[str, Found], receipt: Mapping[str, Any]) -> None:
        self._found = dict(found)
        self.receipt = dict(receipt)

    def __getitem__(self, name: str) -> Found:
        if name not in self._found:
            raise KeyError(f"{name} (there are: {', '.join(self._found) or 'no tables'})")
        return self._found[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._found)

    def __len__(self) -> int:
        return len(self._found)

    def _ipython_key_completions_(self) -> list[str]:
        return list(self._found)

    @property
    def ks(self) -> Any:
        """Not there: the methods of `df.ks` are those of one table. Raises AttributeError."""
        names = list(self.flat())
        example = f"; for example result[{names[0]!r}].ks" if names else ""
        raise AttributeError(
            f"this result has several tables ({', '.join(names) or 'none'}), and ks is of one"
            f" table{example}"
        )

    def flat(self) -> dict[str, pd.DataFrame]:
        """Return every table by its name, after a probe's name and a dot where needed."""
        return by_name(self)

    def __repr__(self) -> str:
        tables = self.flat()
        if not tables:
            notes = "; ".join(self.receipt.get("warnings", ()))
            return f"no tables: {notes or _NOTHING_TO_READ}"
        return "\n\n".join(f"{_title(name, table)}\n{table!r}" for name, table in tables.items())

    def _repr_html_(self) -> str:
        tables = self.flat()
        if not tables:
            return f"<p>{html.escape(repr(self))}</p>"
        parts = []
        for name, table in tables.items():
            shown = table._repr_html_()  # type: ignore[operator]
            parts.append(f"<p><b>{html.escape(_title(name, table))}</b></p>\n{shown}")
        return "\n".join(parts)


class Tables(_TableMapping["pd.DataFrame"]):
    """Tables by name, in the program's order. `receipt` is the one in each table's attrs."""


class Results(_TableMapping["pd.DataFrame | Tables"]):
    """The result of each of several probes by name: a DataFrame, or its Tables.

    "syscount.calls" is one table of a probe with several. `receipt` combines their receipts.
    """

    def __getitem__(self, name: str) -> pd.DataFrame | Tables:
        probe, dot, table = name.partition(".")
        found = super().__getitem__(probe)
        return found[table] if dot and isinstance(found, Tables) else super().__getitem__(name)


def by_name(result: pd.DataFrame | Mapping[str, Any]) -> dict[str, pd.DataFrame]:
    """Return a result's tables by name, nested names joined by dots; a single one is ""."""
    if not isinstance(result, Mapping):
        return {"": result}
    return {
        f"{name}.{inner}" if inner else name: table
        for name, found in result.items()
        for inner, table in by_name(found).items()
    }


def with_name(path: Path, name: str, end: str | None = None) -> Path:
    """Return a file's path with a table's or probe's name before its suffix, if any."""
    end = end or path.suffix
    return path.with_name(f"{path.name.removesuffix(end)}.{name}{end}") if name else path


def _title(name: str, table: pd.DataFrame) -> str:
    return f"{name}: {len(table):,} row{'' if len(table) == 1 else 's'}"
