"""Writes benchmarks/RESULTS.md from results.json and soak.json."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from statistics import median
from typing import Any

from benchmarks.measure import results_store
from benchmarks.measure.measurement import BCC, BPFTRACE, FOLDER, KERNELSCOPE, RESULTS
from benchmarks.measure.ratios import Ratio, times_ahead
from benchmarks.measure.results_store import Part
from benchmarks.report import narrative, plots
from benchmarks.suites import live_latency, live_soak

PAGE = FOLDER / "RESULTS.md"
SOAK = RESULTS / "soak.json"
_OTHERS = (BCC, BPFTRACE)
_MORE_IS_BETTER = ("share delivered",)
_COMPARED = (
    "ms to attached",
    "ms",
    "share delivered",
    "CPU s per M",
    "traced program: times as slow",
    "ms to a DataFrame",
    "ms to the end and a DataFrame",
    "ns added to an event",
    "BPF ns per event",
)


def write() -> None:
    """Write the page and its pictures."""
    machine, parts = results_store.read()
    soak = json.loads(SOAK.read_text()) if SOAK.exists() else None
    sections = [narrative.introduction(machine, parts)]
    behind: list[str] = []
    sections += [_section(name, parts[name], behind) for name in narrative.TITLES if name in parts]
    if soak is not None:
        sections.append(_soak(soak))
    sections.append(_not_ahead(behind))
    sections.append(narrative.rest(parts))
    pictures = plots.draw(parts, soak)
    text = "\n\n".join(section for section in sections if section)
    for name, path in pictures.items():
        picture = f"![{plots.TITLES[name]}]({path.relative_to(FOLDER)})"
        text = text.replace(f"<!-- {name} -->", picture)
    text = re.sub(r"\n\n<!-- \w+ -->", "", text)  # parts that have no picture
    PAGE.write_text(text + "\n", encoding="utf-8")


def _section(name: str, part: Part, behind: list[str]) -> str:
    rounds = f"{len(part.rounds)} round{'s' if len(part.rounds) > 1 else ''}"
    form = "full" if part.full else "short"
    when = f"*{part.at}, {form} form, {rounds} in {part.took_s:,.0f} s.*"
    compared = any(tool in _OTHERS for row in part.rows for tool in part.tools(row))
    table = _comparison(name, part, behind) if compared else _wide(part)
    head = [f"## {narrative.TITLES[name]}", when, narrative.NOTES.get(name, "")]
    goals = narrative.goals(name, part)
    more = _live() if name == "live" else ()
    pieces = (*head, goals, table, f"<!-- {name} -->", *more)
    return "\n\n".join(piece for piece in pieces if piece)


def _live() -> list[str]:
    """Return the measurements in JupyterLab itself, in a browser."""
    page, soak = live_latency.kept_table(), live_soak.kept_table()
    return [
        *(["From an event in the kernel to the pixel, in JupyterLab:", page] if page else []),
        *(["Ten minutes of it, with a window of ten minutes:", soak] if soak else []),
    ]


def _comparison(name: str, part: Part, behind: list[str]) -> str:
    lines = [
        "| | | KernelScope | bcc | bpftrace | ahead of bcc | ahead of bpftrace |",
        "|---|---|---:|---:|---:|---:|---:|",
    ]
    for row in part.rows:
        for measure in part.measures(row):
            cells = [_cell(part, row, measure, tool) for tool in (KERNELSCOPE, *_OTHERS)]
            ratios = []
            for other in _OTHERS:
                ratio = _ratio(part, row, measure, other)
                ratios.append(str(ratio) if ratio else "")
                if ratio is not None and ratio.behind:
                    ratios[-1] = f"**{ratio}**"
                    why = narrative.why(name, row, measure, other)
                    behind.append(f"- {row}, {measure}, against {other}: {ratio}. {why}")
            lines.append("| " + " | ".join([row, measure, *cells, *ratios]) + " |")
    return "\n".join(lines)


def _ratio(part: Part, row: str, measure: str, other: str) -> Ratio | None:
    if measure not in _COMPARED:
        return None
    ours, theirs = (part.values(row, measure, tool) for tool in (KERNELSCOPE, other))
    return times_ahead(ours, theirs, more_is_better=measure in _MORE_IS_BETTER)


def _wide(part: Part) -> str:
    """Return a line for each row and tool; rows with other measures are in tables of their own."""
    tables: dict[tuple[str, ...], list[str]] = {}
    for row in part.rows:
        measures = tuple(part.measures(row))
        for tool in part.tools(row):
            label = row if tool == KERNELSCOPE else f"{row}: {tool}"
            cells = [_cell(part, row, measure, tool) for measure in measures]
            tables.setdefault(measures, []).append("| " + " | ".join([label, *cells]) + " |")
    pieces = []
    for measures, lines in tables.items():
        head = "| | " + " | ".join(measures) + " |\n|---|" + "---:|" * len(measures)
        pieces.append("\n".join([head, *lines]))
    return "\n\n".join(pieces)


def _cell(part: Part, row: str, measure: str, tool: str) -> str:
    values = part.values(row, measure, tool)
    if not values:
        return ""
    text = number(median(values))
    if len(values) > 1 and min(values) != max(values):
        text += f" ({number(min(values))}-{number(max(values))})"
    return text


def number(value: float) -> str:
    """Return three digits, and more for a share just below 1."""
    if value == 0 or abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.5f}".rstrip("0").rstrip(".") if 0.99 < value < 1 else f"{value:.3g}"


def _not_ahead(behind: Sequence[str]) -> str:
    if not behind:
        return ""
    head = (
        "## Where KernelScope is not ahead\n\nRows whose ratio is below 1, and not by chance alone"
        " (the interval is below 1, or there was only one round)."
    )
    return head + "\n\n" + "\n".join(behind)


def _soak(soak: dict[str, Any]) -> str:
    """Return the result of the hour, or of the time so far."""
    samples = soak["samples"]
    settled = [each for each in samples if each["s"] >= 300] or samples
    first, last = settled[0], settled[-1]
    end = soak.get("end")
    lines = [
        "## An hour at a moderate rate",
        f"*Started {soak['at']} UTC, while the machine did other work too.*",
        f"{soak['rate']:,} events per second for {soak['seconds']:,.0f} s, the latest"
        f" {soak['max_rows']:,} rows kept, every batch checked as it arrived: each event has a"
        " number, and a missing or misplaced one would be a gap.",
        "| | at 5 minutes | at the end | most in between |\n|---|---:|---:|---:|",
    ]
    for key, label in (("notebook_mib", "MiB, notebook"), ("agent_mib", "MiB, agent")):
        most = max(each[key] for each in settled)
        lines[-1] += f"\n| {label} | {first[key]:.1f} | {last[key]:.1f} | {most:.1f} |"
    for key, label in (("notebook_cpu_s", "notebook"), ("agent_cpu_s", "agent")):
        share = (last[key] - first[key]) / max(last["s"] - first["s"], 1)
        lines.append(f"CPU of the {label}: {share:.1%} of one.")
    if end:
        right = "are the last" if end["kept_are_the_last"] else "are **not** the last"
        lost = {cause: n for cause, n in end["lost"].items() if cause != "dropped_rows"}
        lines.append(
            f"**{end['made']:,} events made, {end['seen']:,} arrived, {end['gaps']} gaps, lost:"
            f" {lost or 'none'}.** The {end['kept']:,} rows kept {right} ones."
        )
    else:
        lines.append(
            f"**It has not ended yet**: {last['events']:,} events so far, {last['gaps']} gaps."
        )
    return "\n\n".join([*lines, "<!-- soak -->"])


def main() -> None:
    """Write the page."""
    write()


if __name__ == "__main__":
    main()
