"""A run as it was asked for: the Program that the agent runs, and how its data is read."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from kernelscope.errors import AgentRefusedError, ParameterError, ProbeSpecError, RecordingError
from kernelscope.probe.loader import tables_from_json
from kernelscope.probe.model import Plot, TableSpec
from kernelscope.protocol.program import Program
from kernelscope.tables.value_checks import flag, mapping, number, optional, record, text

CELL_DURATION_S = 10.0

# What a recording's header must hold: anybody can write one.
_VALUES = record(
    {
        "probe": optional(text(256)),
        "parameters": mapping(text(256), lambda _value, _where: None),
        "duration_s": optional(number(high=1e9)),
        "offsets": flag,
        "types": mapping(text(256), text(64)),
        "table": optional(text(256)),
    }
)


@dataclass(frozen=True)
class Request:
    """One run as it was asked for: the program, and how its data is read.

    probe: its name, None for custom C. parameters: the probe's own, in seconds and bytes.
    duration_s: math.inf until stopped. max_rows: rows kept of each table, None for what fits.
    max_bytes: what the raw data may take instead, None for a quarter of the memory.
    sharing: how many runs share that quarter. types: column -> kind, for the tables of custom C.
    record: the file that keeps the raw data. plots: the pictures that the probe proposes; None
    where that is not known, as in recordings that have none.
    """

    program: Program
    probe: str | None = None
    tables: tuple[TableSpec, ...] = ()
    parameters: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    duration_s: float = CELL_DURATION_S
    max_rows: int | None = None
    max_bytes: int | None = None
    sharing: int = 1
    offsets: bool = False
    types: Mapping[str, str] = dataclasses.field(default_factory=dict)
    table: str | None = None
    record: Path | None = None
    plots: tuple[Plot, ...] | None = ()

    @property
    def name(self) -> str:
        """The probe's name, or "cell" or the file's."""
        return self.program.name

    def to_json(self) -> dict[str, Any]:
        """Return what reading a recording of the run needs, as plain JSON values."""
        return {
            "program": self.program.to_json(),
            "probe": self.probe,
            "tables": [dataclasses.asdict(table) for table in self.tables],
            "parameters": dict(self.parameters),
            "duration_s": None if math.isinf(self.duration_s) else self.duration_s,
            "offsets": self.offsets,
            "types": dict(self.types),
            "table": self.table,
            "plots": self.plots_json(),
        }

    def plots_json(self) -> list[dict[str, Any]] | None:
        """Return the proposed plots as plain JSON values, without what is at its default."""
        if self.plots is None:
            return None
        usual = dataclasses.asdict(Plot(""))
        return [
            {
                name: value
                for name, value in dataclasses.asdict(plot).items()
                if value != usual[name]
            }
            for plot in self.plots
        ]

    @classmethod
    def from_json(cls, data: Mapping[str, Any], path: Path) -> Request:
        """Rebuild the request of a recording. Raises RecordingError if it is not one."""
        try:
            _VALUES(data, "the header")
            return cls(
                program=Program.from_json(data["program"]),
                probe=data["probe"],
                tables=tables_from_json(data["tables"], path),
                parameters=data["parameters"],
                duration_s=data["duration_s"] or math.inf,
                offsets=data["offsets"],
                types=data["types"],
                table=data["table"],
                plots=_plots(data.get("plots")),
            )
        except (KeyError, TypeError, ValueError, AgentRefusedError, ProbeSpecError) as error:
            raise RecordingError(
                f"{path}: its header is damaged: {error}", path=str(path), offset=0
            ) from error

    def digest(self) -> str:
        """Return 16 hexadecimal digits that change with the program's text and hooks."""
        return self._digest

    @cached_property
    def _digest(self) -> str:
        program = self.program
        parts: list[Any] = [
            program.prelude,
            program.source,
            dict(program.defines),
            [dataclasses.asdict(hook) for hook in program.hooks],
        ]
        return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:16]


def _plots(data: Any) -> tuple[Plot, ...] | None:
    return None if data is None else tuple(Plot(**each) for each in data)


def unknown_table(name: str, there: list[str]) -> ParameterError:
    """Return the error for a table that the program does not have."""
    return ParameterError(
        f"there is no table {name!r}",
        hint=f"There are: {', '.join(there) or 'none'}",
        name="table",
        value=name,
    )
