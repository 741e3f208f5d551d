"""The pages about probes: what script/make-docs writes into docs/probes.md and docs/probes/."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from kernelscope.probe import catalogue
from kernelscope.probe.model import Parameter, Probe, TableSpec
from kernelscope.tracing import options, request
from kernelscope.ui import help
from tools.record import probe_costs, probe_records

ROOT = Path(__file__).resolve().parents[2]

INDEX = ROOT / "docs" / "probes.md"
FOLDER = ROOT / "docs" / "probes"
AREAS = {
    "app": "functions, tracepoints and libraries of any program, by what you name",
    "block": "disks: latency, sizes, patterns, and who causes the I/O",
    "cpu": "who computes, who waits for a CPU, who sleeps and why",
    "fs": "files and file systems: who opens, reads, writes, deletes what, and how long it takes",
    "memory": "page faults, allocations, leaks, reclaim, and what the kernel kills for want of it",
    "network": "TCP, UDP, names, packets and sockets: who talks to whom, how fast, what is lost",
    "security": "privileges used and gained, what is loaded into the kernel, what starts oddly",
    "syscall": "system calls, processes, threads, signals and locks",
}
_GENERATED = "<!-- Written by script/make-docs; edit the probes' descriptions instead. -->\n"
_INTRODUCTION = """{count} probes. Each answers one question with DataFrames that have units.
`%ebpf search slow disk` finds one by the question, `%ebpf show NAME` tells all about it,
`%ebpf NAME NAME ...` runs several together.

What the columns say, for each kernel:

- *hooks*: those that the probe took there, how many of which kind. Linux {native} is the machine
  that these pages were made on; the others are Debian's stock kernels in an emulated machine.
  *refused* means that the kernel has none of those that would serve.
- *rows*: what the load of the probe's check gave. Each check is a known load whose count and values
  are verified against another source.
- *ns per event*: the time that the probe's programs took for one event, by the kernel's own BPF
  statistics, in the least disturbed of three runs.
- *flood*: how many times its CPU time a flood of {calls:,} system calls takes with the probe
  attached (`{flood}`): the median of {rounds} rounds, and their extremes. Where those lie
  around 1.00, the flood does not meet the probe's hooks, and what is seen is the machine's noise.
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
    """Return the README's table: the areas, what they are about, and their probes' names."""
    rows = [
        (
            f"[{area}](docs/probes/{area}.md)",
            f"{AREAS[area][0].upper()}{AREAS[area][1:]}",
            " ".join(f"[`{p.name}`](docs/probes/{area}.md#{p.name})" for p in probes),
        )
        for area, probes in areas().items()
    ]
    return table(("Area", "About", "Probes"), rows)


def pages() -> dict[Path, str]:
    """Return every page's text by its path."""
    seen = probe_records.read()["kernels"]
    made = {INDEX: _index(seen)}
    for area, probes in areas().items():
        parts = [_page_of(probe, seen) for probe in probes]
        head = f"# {area}: {AREAS[area]}\n\n{_GENERATED}\n[All probes](../probes.md)\n"
        made[FOLDER / f"{area}.md"] = "\n".join([head, *parts])
    return made


# --- the index ------------------------------------------------------------------------------------


def _index(seen: Mapping[str, Any]) -> str:
    native = [series for series, kernel in seen.items() if _measured(kernel)]
    others = [series for series in seen if series not in native]
    head = ["Probe", "Question"]
    for series in native:
        head += [f"Linux {series}: hooks", "rows", "ns per event", "flood"]
    for series in others:
        head += [f"{series}: hooks", "rows"]
    intro = _INTRODUCTION.format(
        count=len(catalogue.names()),
        native=" and ".join(native) or "?",
        flood=" ".join(probe_costs.FLOOD),
        calls=probe_costs.CALLS,
        rounds=probe_costs.ROUNDS,
    )
    parts = ["# Probes\n", _GENERATED, intro]
    for area, probes in areas().items():
        rows = [_row(probe, seen, native, others) for probe in probes]
        parts.append(f"## [{area}](probes/{area}.md): {AREAS[area]}\n\n{table(head, rows)}")
    return "\n".join(parts)


def _measured(kernel: Mapping[str, Any]) -> bool:
    return any("overhead" in row for row in kernel["probes"].values())


def _row(
    probe: Probe, seen: Mapping[str, Any], native: Sequence[str], others: Sequence[str]
) -> list[str]:
    cells = [f"[`{probe.name}`](probes/{probe.area}.md#{probe.name})", probe.summary]
    for series in native:
        row = seen[series]["probes"].get(probe.name, {})
        cells += [_hooks(row), _rows(row), _ns(row.get("ns_per_event")), _flood(row)]
    for series in others:
        row = seen[series]["probes"].get(probe.name, {})
        cells += [_hooks(row), _rows(row)]
    return cells


def _hooks(row: Mapping[str, Any]) -> str:
    if "refused" in row:
        return "refused"
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
    parts = [
        f"## {probe.name}\n\n**{probe.summary}.**\n\n{_unfolded(probe.description)}\n",
        _picture(probe),
        _parameters(probe),
        *(_columns(spec) for spec in probe.tables),
        _hook_list(probe, seen),
        _cost(probe),
        "\n".join(f"- {caveat}" for caveat in probe.caveats) + "\n",
        _example(probe),
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
        (f"`{options.flag_of(p)}`", _kind(p), _bounds(p), _default(p), p.help)
        for p in probe.parameters
    ]
    return table(("Option", "Kind", "Range", "Default", "What it does"), rows)


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
        (f"`{column.name}`", column.unit or column.kind.replace("_", " "), column.help)
        for column in spec.columns
    ]
    return (
        f"Table `{spec.name}`: {spec.help}\n\n{table(('Column', 'Unit or kind', 'Meaning'), rows)}"
    )


def _hook_list(probe: Probe, seen: Mapping[str, Any]) -> str:
    lines = ["Hooks, the preferred first:\n"]
    for hook in request.from_probe(probe, probe.needed()).program.hooks:
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
            lines.append(f"- Linux {series} took {', '.join(f'`{hook}`' for hook in hooks)}")
    return "\n".join(lines) + "\n"


def _cost(probe: Probe) -> str:
    cost = probe.overhead
    measured = f", {cost.ns_per_event:,g} ns per event" if cost.ns_per_event is not None else ""
    return f"**Overhead: {cost.level}**{measured}. {cost.note}\n"


def _example(probe: Probe) -> str:
    given = help.shown_options(probe)
    command = f"%ebpf {probe.name} {given}".strip()
    return f"```text\n{command}\n\n{probe.example.strip(chr(10))}\n```\n"
