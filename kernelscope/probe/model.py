"""What a probe is: its question, hooks, parameters, tables and plots.

A probe is two files of the same name in `bpf/<area>/`: the C, in BCC's dialect, and the .toml,
which `loader` reads and checks. Nothing else knows a probe by name.
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

    name: of the DataFrame's column, unit included ("latency_us").
    field: where it comes from: a record's field, or "key", "key.<field>", "value",
        "value.<field>" of a map. Empty means a field of the same name.
    kind: one of `column_kinds.COLUMN_KINDS`.
    unit: of the DataFrame's values ("us", "bytes", ...), "" for none.
    scale: the raw value is multiplied by it (before that, kind "duration" goes from ns to unit).
    names: for kind "enum". family: for kind "ip".
    enum, prefix: for kind "btf_enum": the enum's name in the kernel, and the start of its words
        that is not shown ("skb_drop_reason", "SKB_DROP_REASON_").
    until_time: of kind "duration": it ended at the row's time; others began then.
    when: parameter -> the choices for which the table has this column (for a format, the names of
        its values, "%s" for any text, "%d" for any number); empty for always.
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
    until_time: bool = False
    when: dict[str, list[str]] = dataclasses.field(default_factory=dict)


@dataclass(frozen=True)
class TableSpec:
    """How one map or ring of the program becomes a DataFrame.

    name: the table's name in the result. map: its name in the C text.
    sort: columns to sort by, "-" before a name for descending.
    formatted: the parameter of kind "format" whose values' columns come last.
    when: as in Column, for the whole table.
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

    kind: "integer", "float", "flag", "choice", "text", "duration", "size", "disk"; "hook" (chosen
        by the user, hook_selection.py), "format" (values of a call, call_format.py), "condition"
        (on a value of the format).
    passed: "param" (KS_PARAM(name), patched into the bytecode), "define" (a macro with the name in
        upper case, compiled) or "client" (used in the client only: in a hook's "{name}").
        The C gets 0 without a value; ns for a duration, bytes for a size, a choice's place
        in `choices` counted from 0, a disk's dev_t, 0 or 1 for a flag. A text that is passed as
        "param" becomes two numbers, NAME_0 and NAME_1: its first 16 bytes.
    minimum, maximum: inclusive, in the parameter's own unit ("duration" in seconds); of a format,
        how many values.
    hooks: for kind "hook", the kinds of hooks that are allowed; then an example is required.
    discloses: what the run discloses once the parameter is set, as in Probe; "" for no more.
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
    discloses: str = ""


@dataclass(frozen=True)
class HookSpec:
    """One function of the C and the hooks that it can be attached to, the preferred first.

    any_of: specs; "{name}" in a spec stands for that parameter ("profile:hz:{frequency}").
        "{name}" alone, of kind "hook", stands for the hooks that the user chose, "{name:return}"
        for the returns of the same functions.
    when: as in Column; otherwise the function is not attached.
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
    """What tracing costs: "low", "medium" or "high", and the measured nanoseconds per event.

    ns_per_event: the run time of all the probe's programs for one event, in the least disturbed of
        five runs under its check's load (script/record-probes). Events are what the tables count
        (rows, where they do not count), but at least the runs of the program that ran most often (a
        threshold hides events that were examined) and at most the runs of all programs.
    """

    level: str
    ns_per_event: float | None
    note: str


@dataclass(frozen=True)
class Check:
    """A known load and what the probe must show; `workloads/probes` has the code for `load`.

    arguments: given to the load; "{file}" stands for a file of 1 MiB on a disk, "{disk}" for a disk
        that nothing else uses, "{folder}" for an empty folder.
    options: of the runs for its example and picture, where "{pid}" is the load's process;
        script/record-probes records both.
    """

    load: str
    events: int
    expect: str
    arguments: tuple[str, ...] = ()
    options: dict[str, Any] = dataclasses.field(default_factory=dict)


@dataclass(frozen=True)
class Probe:
    """One built-in probe, loaded from its two files.

    filters: "task" (pid, comm, uid of the current task are tested before the C runs), "code" (the
        C tests KS_PARAM(filter_pid), filter_uid, filter_comm_0, filter_comm_1), or "none".
    answers: questions that the probe answers, for the search. tools: names of tools in other
        collections that do the same.
    discloses: of other users' processes: "counts" (sums alone), "names" (programs, files,
        addresses, sizes) or "contents" (data that programs read, write or hold). The agent's
        policy decides by it.
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
    answers: tuple[str, ...] = ()
    tools: tuple[str, ...] = ()
    discloses: str = "names"

    def defaults(self) -> dict[str, Any]:
        """Return the parameters with a default, and that default as in the TOML."""
        return {p.name: p.default for p in self.parameters if p.default is not None}

    def needed(self) -> dict[str, Any]:
        """Return the parameters that a run must be given, with their examples."""
        return {p.name: p.example for p in self.parameters if p.example}
