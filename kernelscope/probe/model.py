"""What a probe is: the question it answers, how it is asked, and how its answer reads.

A probe is two files of one name in `bpf/<area>/`: the C, in BCC's dialect, and the .toml that this
module loads and validates. Nothing else knows a probe by name.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Column:
    """One column of a table.

    name: as it stands in the DataFrame, unit included ("latency_us").
    field: where it comes from: a record's field, or "key", "key.<field>", "value",
        "value.<field>" of a map. Empty means a field of the same name.
    kind: one of `column_kinds.COLUMN_KINDS`.
    unit: of the DataFrame's values ("us", "bytes", ...), "" for none.
    scale: the raw value is multiplied by it (before that, kind "duration" goes from ns to unit).
    names: for kind "enum". family: for kind "ip".
    enum, prefix: for kind "btf_enum": the enum's name in the kernel, and what its words begin with
        and is not shown ("skb_drop_reason", "SKB_DROP_REASON_").
    when: parameter -> its choices with which the table has this column (of a format, the names of
        its values, "%s" for a text among them, "%d" for a number); empty for always.
    """

    name: str
    kind: str
    field: str = ""
    unit: str = ""
    help: str = ""
    scale: float = 1.0
    names: dict[int, str] = dataclasses.field(default_factory=dict)
    family: str = ""
    enum: str = ""
    prefix: str = ""
    when: dict[str, list[str]] = dataclasses.field(default_factory=dict)


@dataclass(frozen=True)
class TableSpec:
    """How one map or ring of the program becomes a DataFrame.

    name: the table's name in the result. map: its name in the C text.
    sort: columns to sort by, "-" before a name for descending.
    formatted: the parameter of kind "format" whose values' columns come last.
    when: as in Column; without it there is no such table.
    """

    name: str
    map: str
    columns: tuple[Column, ...]
    help: str = ""
    sort: tuple[str, ...] = ()
    formatted: str = ""
    when: dict[str, list[str]] = dataclasses.field(default_factory=dict)


@dataclass(frozen=True)
class Plot:
    """A probe's default picture.

    kind: "histogram", "heatmap", "bars", "timeseries", "flamegraph", "percentiles", "table".
    x, y, by, value: column names; `top` bars or series at most.
    """

    kind: str
    table: str = ""
    x: str = ""
    y: str = ""
    by: str = ""
    value: str = ""
    top: int = 20
    title: str = ""


@dataclass(frozen=True)
class Parameter:
    """An option of one probe.

    kind: "integer", "float", "flag", "choice", "text", "duration", "size", "disk"; "hook" (the
        user's own, chosen.py), "format" (values of a call, formats.py), "condition" (of one of
        the probe's format).
    passed: "param" (KS_PARAM(name), patched into the bytecode), "define" (a macro with the name in
        upper case, compiled) or "client" (used on the notebook's side only: in a hook's "{name}").
        The C gets 0 where nothing was given; ns for a duration, bytes for a size, a choice's place
        in `choices` counted from 0, a disk's dev_t, 0 or 1 for a flag. A text that is passed as
        "param" becomes two numbers, NAME_0 and NAME_1: its first 16 bytes.
    minimum, maximum: inclusive, in the parameter's own unit ("duration" in seconds); of a format,
        how many values.
    hooks: for kind "hook", the kinds of hooks that serve. example: of one; it must be given.
    """

    name: str
    kind: str
    help: str
    default: Any = None
    passed: str = "param"
    minimum: float | None = None
    maximum: float | None = None
    choices: tuple[str, ...] = ()
    unit: str = ""
    hooks: tuple[str, ...] = ()
    example: str = ""


@dataclass(frozen=True)
class HookSpec:
    """One function of the C text and the hooks that would serve it, the preferred first.

    any_of: specs; "{name}" in one stands for the parameter of that name ("profile:hz:{frequency}").
        "{name}" alone, of kind "hook", are the hooks that the user chose, "{name:return}" the
        returns of the same functions.
    when: as in Column; without it the function is attached nowhere.
    """

    function: str
    any_of: tuple[str, ...]
    optional: bool = False
    when: dict[str, list[str]] = dataclasses.field(default_factory=dict)

    def specs(self, parameters: Mapping[str, Any]) -> tuple[str, ...]:
        """Return the specs with the parameters' values filled in."""
        return tuple(spec.format(**parameters) if "{" in spec else spec for spec in self.any_of)


@dataclass(frozen=True)
class Overhead:
    """What tracing costs: class "low", "medium" or "high", and measured ns an event.

    ns_per_event: the run time of all the probe's programs together for one event, in the least
        disturbed of five runs under its check's load (script/record-probes). Events are what
        the tables count (rows, where they do not count), but at least the runs of the program that
        ran most often (a threshold hides events that were looked at) and at most those of all.
    """

    level: str
    ns_per_event: float | None
    note: str


@dataclass(frozen=True)
class Check:
    """A known load and what the probe must say of it; tests/probes has the code for `load`.

    arguments: given to the load; "{file}" stands for a file of 1 MiB on a disk, "{disk}" for a disk
        that nothing else uses, "{folder}" for an empty folder.
    options: with which the probe runs for its example and picture; there "{pid}" is the load's
        process too. script/record-probes makes both.
    """

    load: str
    events: int
    expect: str
    arguments: tuple[str, ...] = ()
    options: dict[str, Any] = dataclasses.field(default_factory=dict)


@dataclass(frozen=True)
class Probe:
    """One built-in probe, loaded from its two files.

    filters: "task" (pid, comm, uid are tested for the current task before the C runs), "code" (the
        C tests KS_PARAM(filter_pid), filter_uid, filter_comm_0, filter_comm_1), or "none".
    """

    name: str
    area: str
    summary: str
    description: str
    source: str
    path: Path
    hooks: tuple[HookSpec, ...]
    parameters: tuple[Parameter, ...]
    tables: tuple[TableSpec, ...]
    plots: tuple[Plot, ...]
    overhead: Overhead
    caveats: tuple[str, ...]
    check: Check
    example: str
    filters: str = "task"
    duration_s: float = 10.0
    keywords: tuple[str, ...] = ()

    def defaults(self) -> dict[str, Any]:
        """Return the parameters that have a default, with it, as the TOML states it."""
        return {p.name: p.default for p in self.parameters if p.default is not None}

    def needed(self) -> dict[str, Any]:
        """Return the parameters that a run must be given, with their examples."""
        return {p.name: p.example for p in self.parameters if p.example}
