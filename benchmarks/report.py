"""Figures to a table: the median of the rounds with the smallest and largest, and ratios."""

from __future__ import annotations

import json
import os
import platform
import re
import subprocess
from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from itertools import product
from pathlib import Path
from statistics import median

from benchmarks.cases import KERNELSCOPE, Figure

HERE = Path(__file__).resolve().parent

TITLES = {
    "start": "From the question to the program attached",
    "flood": "A flood of 40-byte events, kept whole",
    "table": "A hash of 1,000,000 keys",
    "overhead": "What tracing costs the traced program: a count in a hash",
    "memory": "Memory of the notebook over a long flood",
}
NOTES = {
    "start": "Each cell comes 0.3 s after the end of the run before, as a person's does at the"
    " earliest. At once after another run, a tracepoint waits until the kernel has closed that"
    " run's (`event_mutex`).",
    "flood": "What finds a ring full costs the traced program less than what is kept: see the ns"
    " added to each event together with the share delivered.",
}
_COMPARED = ("s", "CPU-s per M events", "ns added to each event")
# (case, how the tool's name begins, measure) -> the goal, and whether more is better
TARGETS = {
    ("start", "KernelScope, a new cell", "s"): (0.3, False),
    ("start", "KernelScope, the cell again", "s"): (0.04, False),
    ("flood", "KernelScope", "M events/s offered"): (1.2, True),
    ("flood", "KernelScope", "s of flood"): (10.0, True),
    ("flood", "KernelScope", "share delivered"): (1.0, True),
    ("flood", "KernelScope", "CPU-s per M events"): (0.25, False),
    ("table", "KernelScope", "s"): (0.5, False),
}


def markdown(figures: Sequence[Figure], rounds: int, headers: str) -> str:
    """Return all figures as a page."""
    parts = [
        "# Benchmarks",
        f"Made by `script/bench` on {datetime.now(UTC):%Y-%m-%d %H:%M} UTC: {_machine()}. "
        f"{rounds} rounds, the tools one after the other in each; the median, and in brackets the"
        f" smallest and the largest. bcc's headers: {headers}.",
        "The load is `dd bs=1`, whose reads and writes are known in number. The same C runs under"
        " bcc and KernelScope. CPU time is the tool's own, all of its processes, decoding"
        " included; what is added to each event is dd's own CPU time, less that of an untraced dd.",
    ]
    for case, title in TITLES.items():
        mine = [figure for figure in figures if figure.case == case]
        if mine:
            parts += [f"## {title}", *([NOTES[case]] if case in NOTES else []), _table(mine)]
    return "\n\n".join(parts) + "\n"


def _table(figures: Sequence[Figure]) -> str:
    tools = list(dict.fromkeys(figure.tool for figure in figures))
    measures = list(dict.fromkeys(figure.measure for figure in figures))
    lines = ["| | " + " | ".join(measures) + " |", "|---" * (len(measures) + 1) + "|"]
    for tool in tools:
        cells = [_cell(figures, tool, measure) for measure in measures]
        lines.append(f"| {tool} | " + " | ".join(cells) + " |")
    return "\n".join(lines) + _ratios(figures, tools, measures)


def _cell(figures: Sequence[Figure], tool: str, measure: str) -> str:
    values = _values(figures, tool, measure)
    if not values:
        return ""
    text = _number(median(values))
    if len(values) > 1:
        text += f" ({_number(min(values))}-{_number(max(values))})"
    return text + _against_target(figures[0].case, tool, measure, median(values))


def _against_target(case: str, tool: str, measure: str, value: float) -> str:
    for (of, begins, what), (goal, more) in TARGETS.items():
        if of == case and tool.startswith(begins) and "at once" not in tool and what == measure:
            met = value >= goal if more else value <= goal
            sign = "≥" if more else "≤"
            return f"; goal {sign} {goal:g}: {'met' if met else '**missed**'}"
    return ""


def _ratios(figures: Sequence[Figure], tools: Sequence[str], measures: Sequence[str]) -> str:
    """Say how many times KernelScope's figure each other tool's is, round by round."""
    ours = [tool for tool in tools if tool.startswith(KERNELSCOPE)]
    others = [tool for tool in tools if tool not in ours]
    lines = [
        line
        for measure in measures
        if measure in _COMPARED
        for own, other in product(ours, others)
        if (line := _ratio(figures, measure, own, other))
    ]
    return "\n\nRatios, within each round:\n\n" + "\n".join(lines) if lines else ""


def _ratio(figures: Sequence[Figure], measure: str, own: str, other: str) -> str:
    pairs = zip(_values(figures, other, measure), _values(figures, own, measure), strict=True)
    ratios = [theirs / mine for theirs, mine in pairs if mine > 0]
    if not ratios:
        return ""
    spread = f"{min(ratios):.2f}-{max(ratios):.2f}"
    return f"- {measure}: {other} / {own} = {median(ratios):.2f} ({spread})"


def _values(figures: Sequence[Figure], tool: str, measure: str) -> list[float]:
    return [f.value for f in figures if f.tool == tool and f.measure == measure]


def _number(value: float) -> str:
    if value == 0 or abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.5f}".rstrip("0").rstrip(".") if 0.99 < value < 1 else f"{value:.3g}"


def _machine() -> str:
    cpu = re.search(r"model name\s*: (.*)", Path("/proc/cpuinfo").read_text())
    return (
        f"Linux {platform.release()}, {os.cpu_count()} CPUs"
        f" ({cpu.group(1) if cpu else platform.machine()}),"
        f" bpftrace {_version('bpftrace', '--version')}, bcc {_bcc_version()},"
        f" Python {platform.python_version()}"
    )


def _version(*command: str) -> str:
    output = subprocess.run(command, capture_output=True, text=True).stdout
    found = re.search(r"v?(\d[\w.]*)", output)
    return found.group(1) if found else "?"


def _bcc_version() -> str:
    return _version("/usr/bin/python3", "-c", "import bcc; print(bcc.__version__)")


def keep(figures: Sequence[Figure], text: str) -> None:
    """Write the page, and every single figure beside it."""
    (HERE / "RESULTS.md").write_text(text, encoding="utf-8")
    values = {"machine": _machine(), "figures": [asdict(figure) for figure in figures]}
    (HERE / "results.json").write_text(json.dumps(values, indent=1) + "\n", encoding="utf-8")
