"""The pages about probes: what script/make-docs writes into docs/probes.md and docs/probes/."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from kernelscope.probe import catalogue, resolve
from kernelscope.probe.model import Column, Parameter, Probe, TableSpec
from kernelscope.probe.parameters import flag_of
from kernelscope.ui import help
from tools.record import probe_costs, probe_records

ROOT = Path(__file__).resolve().parents[2]

INDEX = ROOT / "docs" / "probes.md"
FOLDER = ROOT / "docs" / "probes"
AREAS = {
    "app": "Any program: calls and latency of functions, arguments, allocations, TLS, Python",
    "block": "Disks: latency, sizes, access patterns, and which process or code causes the I/O",
    "cpu": "CPUs: which threads run, which wait, which sleep and why; interrupts",
    "fs": "Files: who opens, reads, writes and deletes them, and how long it takes",
    "memory": "Memory: page faults, allocations, leaks, reclaim, out-of-memory kills",
    "network": "Network: TCP, UDP, name lookups, packets and sockets",
    "security": "Security: privileges, code loaded into the kernel, unusual programs",
    "syscall": "System calls, processes, threads, signals and locks",
}
_GENERATED = "<!-- Written by script/make-docs; edit the probes' descriptions instead. -->\n"
_INDEX_HEAD = """{count} probes. Each answers one question with DataFrames whose columns have units.
`%ebpf search slow disk` finds a probe by question, `%ebpf show NAME` describes it, and
`%ebpf NAME NAME ...` runs several together. A name below leads to the probe's options, columns,
limits and an example.

*Cost* is the time of the probe's programs for one event, and how much a whole machine notices it:
low, medium or high, depending on how often such events occur.
[Measurements](probes/measured.md) has the details, with the hooks that each kernel took.
"""
_MEASURED_HEAD = """For each kernel:

- *hooks*: the hooks that the probe used, by kind. Linux {native} is the machine on which these
  pages were made; the others are Debian's stock kernels in an emulated machine. *not available*
  means that the kernel has none of the probe's alternatives.
- *rows*: the rows that the load of the probe's check gave. Each check is a known load whose count
  and values are verified against another source.
- *ns per event*: the time of the probe's programs for one event, from the kernel's own BPF
  statistics, in the least disturbed run.
- *flood*: how many times as much CPU time a flood of {calls:,} system calls takes with the probe
  attached (`{flood}`): the median of {rounds} rounds, and their extremes. If these are around 1.00,
  the flood does not use the probe's hooks, and the difference is the machine's noise.
"""


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a table in Markdown."""
    lines = [head, ["---"] * len(head), *rows]
    return "".join(
        f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in row)} |\n" for row in lines
    )


def areas() -> dict[str, list[Probe]]:
    """Return the probes by area."""
    found: dict[str, list[Probe]] = {}
    for probe in catalogue.catalogue().values():
        found.setdefault(probe.area, []).append(probe)
    return found


def short_table() -> str:
    """Return the README's table: the areas, what they are about, and how many probes they have."""
    rows = [
        (f"[{area}](docs/probes/{area}.md)", AREAS[area], str(len(probes)))
        for area, probes in areas().items()
    ]
    return table(("Area", "About", "Probes"), rows)


def pages() -> dict[Path, str]:
    """Return every page's text by its path."""
    seen = probe_records.read()["kernels"]
    made = {INDEX: _index(), FOLDER / "measured.md": _measured(seen)}
    for area, probes in areas().items():
        parts = [_page_of(probe, seen) for probe in probes]
        head = f"# {AREAS[area]}\n\n{_GENERATED}\n[All probes](../probes.md)\n"
        made[FOLDER / f"{area}.md"] = "\n".join([head, *parts])
    return made


# --- the index ------------------------------------------------------------------------------------


def _index() -> str:
    parts = ["# Probes\n", _GENERATED, _INDEX_HEAD.format(count=len(catalogue.names()))]
    for area, probes in areas().items():
        rows = [(_link(p, "probes/"), p.summary, _column_names(p), _short_cost(p)) for p in probes]
        shown = table(("Probe", "What it shows", "Columns", "Cost"), rows)
        parts.append(f"## {AREAS[area]}\n\n{shown}")
    return "\n".join(parts)


def _link(probe: Probe, folder: str = "") -> str:
    return f"[`{probe.name}`]({folder}{probe.area}.md#{probe.name})"


def _column_names(probe: Probe) -> str:
    """Return each table's columns; of several tables, with their names."""
    parts = [(spec.name, ", ".join(_names(c) for c in spec.columns)) for spec in probe.tables]
    if len(parts) == 1:
        return parts[0][1]
    return "; ".join(f"*{name}*: {columns}" for name, columns in parts)


def _names(column: Column) -> str:
    """Return a column's name; of a histogram's slot, the names of its two bounds."""
    if column.kind != "slot":
        return f"`{column.name}`"
    unit = f"_{column.unit}" if column.unit else ""
    base = column.name.removesuffix(unit)
    return f"`{base}_low{unit}`, `{base}_high{unit}`"


def _short_cost(probe: Probe) -> str:
    ns = probe.overhead.ns_per_event
    return probe.overhead.level + (f", {ns:,g} ns" if ns is not None else "")


# --- the measurements -----------------------------------------------------------------------------


def _measured(seen: Mapping[str, Any]) -> str:
    native = [series for series, kernel in seen.items() if _has_costs(kernel)]
    others = [series for series in seen if series not in native]
    head = ["Probe"]
    for series in native:
        head += [f"Linux {series}: hooks", "rows", "ns per event", "flood"]
    for series in others:
        head += [f"{series}: hooks", "rows"]
    intro = _MEASURED_HEAD.format(
        native=" and ".join(native) or "?",
        flood=" ".join(probe_costs.FLOOD),
        calls=probe_costs.CALLS,
        rounds=probe_costs.ROUNDS,
    )
    rows = [_row(probe, seen, native, others) for probes in areas().values() for probe in probes]
    return "\n".join(
        ["# Measurements\n", _GENERATED, "[All probes](../probes.md)\n", intro, table(head, rows)]
    )


def _has_costs(kernel: Mapping[str, Any]) -> bool:
    return any("overhead" in row for row in kernel["probes"].values())


def _row(
    probe: Probe, seen: Mapping[str, Any], native: Sequence[str], others: Sequence[str]
) -> list[str]:
    cells = [_link(probe)]
    for series in native:
        row = seen[series]["probes"].get(probe.name, {})
        cells += [_hooks(row), _rows(row), _ns(row.get("ns_per_event")), _flood(row)]
    for series in others:
        row = seen[series]["probes"].get(probe.name, {})
        cells += [_hooks(row), _rows(row)]
    return cells


def _hooks(row: Mapping[str, Any]) -> str:
    if "refused" in row:
        return "not available"
    kinds = Counter(hook.partition(":")[0] for hook in row.get("hooks", ()))
    return ", ".join(f"{n} {kind}" if n > 1 else kind for kind, n in kinds.items()) or "-"


def _rows(row: Mapping[str, Any]) -> str:
    return f"{row['rows']:,}" if "rows" in row else "-"


def _ns(ns: float | None) -> str:
    return "-" if ns is None else f"{ns:,.0f}"


def _flood(row: Mapping[str, Any]) -> str:
    felt = row.get("overhead")
    if felt is None:
        return "-"
    return f"{felt['ratio']:.2f} ({felt['low']:.2f} to {felt['high']:.2f})"


# --- an area's page -------------------------------------------------------------------------------


def _page_of(probe: Probe, seen: Mapping[str, Any]) -> str:
    limits = "\n".join(f"- {caveat}" for caveat in probe.caveats)
    parts = [
        f"## {probe.name}\n\n**{probe.summary}.**\n\n{_unfolded(probe.description)}\n",
        _example(probe),
        _picture(probe),
        _parameters(probe),
        *(_columns(spec) for spec in probe.tables),
        f"Limits:\n\n{limits}\n",
        _cost(probe),
        _hook_list(probe, seen),
    ]
    return "\n".join(part for part in parts if part)


def _unfolded(text: str) -> str:
    return "\n\n".join(" ".join(part.split()) for part in text.strip().split("\n\n"))


def _picture(probe: Probe) -> str:
    there = (FOLDER / f"{probe.name}.png").is_file()
    title = help.plot_text(probe.plots[0])
    return f"![{title}]({probe.name}.png)\n" if there else ""


def _parameters(probe: Probe) -> str:
    if not probe.parameters:
        return ""
    rows = [
        (f"`{flag_of(p)}`", _kind(p), _bounds(p), _default(p), p.help) for p in probe.parameters
    ]
    return table(("Option", "Kind", "Range", "Default", "Description"), rows)


def _kind(parameter: Parameter) -> str:
    return parameter.kind + (f", {parameter.unit}" if parameter.unit else "")


def _default(parameter: Parameter) -> str:
    return "" if parameter.default is None else str(parameter.default)


def _bounds(parameter: Parameter) -> str:
    if parameter.choices:
        return ", ".join(parameter.choices)
    low, high = (
        "" if bound is None else f"{bound:,g}" for bound in (parameter.minimum, parameter.maximum)
    )
    return f"{low} to {high}" if low and high else (f"from {low}" if low else high and f"to {high}")


def _columns(spec: TableSpec) -> str:
    rows = [
        (_names(column), column.unit or column.kind.replace("_", " "), column.help)
        for column in spec.columns
    ]
    return (
        f"Table `{spec.name}`: {spec.help}\n\n{table(('Column', 'Unit or kind', 'Meaning'), rows)}"
    )


def _hook_list(probe: Probe, seen: Mapping[str, Any]) -> str:
    lines = ["Hooks, in order of preference:\n"]
    for hook in resolve.usual_hooks(probe):
        specs = " or ".join(f"`{spec}`" for spec in hook.any_of)
        lines.append(f"- `{hook.function}`{' (optional)' if hook.optional else ''}: {specs}")
    taken = {
        series: kernel["probes"][probe.name]["hooks"]
        for series, kernel in seen.items()
        if kernel["probes"].get(probe.name, {}).get("hooks")
    }
    if len({tuple(hooks) for hooks in taken.values()}) > 1:
        lines.append("")
        for series, hooks in taken.items():
            lines.append(f"- Linux {series} used {', '.join(f'`{hook}`' for hook in hooks)}")
    return "\n".join(lines) + "\n"


def _cost(probe: Probe) -> str:
    cost = probe.overhead
    measured = f", {cost.ns_per_event:,g} ns per event" if cost.ns_per_event is not None else ""
    return f"**Overhead: {cost.level}**{measured}. {cost.note}\n"


def _example(probe: Probe) -> str:
    given = help.shown_options(probe)
    command = f"%ebpf {probe.name} {given}".strip()
    return f"```text\n{command}\n\n{probe.example.strip(chr(10))}\n```\n"
