"""The plots of RESULTS.md, in colours that colour-blind readers can distinguish (Okabe, Ito)."""

from __future__ import annotations

from pathlib import Path
from statistics import median
from typing import Any

import matplotlib as mpl
from matplotlib.figure import Figure as Canvas

from benchmarks.measure.measurement import BCC, BPFTRACE, KERNELSCOPE, RESULTS
from benchmarks.measure.results_store import Part

FOLDER = RESULTS / "plots"
TITLES = {
    "start": "From the question to the program attached",
    "events": "Events of 40 bytes: share delivered, CPU time, and the traced program's slow-down",
    "maps": "A map to a DataFrame",
    "soak": "Memory over an hour",
}
_LOOK = {KERNELSCOPE: ("#0072B2", "o"), BCC: ("#E69F00", "s"), BPFTRACE: ("#009E73", "^")}


def draw(parts: dict[str, Part], soak: dict[str, Any] | None) -> dict[str, Path]:
    """Draw the sections that have figures; return the files by section."""
    FOLDER.mkdir(exist_ok=True)
    mpl.rcParams["svg.hashsalt"] = "benchmarks"
    made: dict[str, Canvas] = {}
    if "start" in parts:
        made["start"] = _start(parts["start"])
    if "events" in parts:
        made["events"] = _events(parts["events"])
    if "maps" in parts:
        made["maps"] = _maps(parts["maps"])
    if soak is not None:
        made["soak"] = _soak(soak)
    paths = {}
    for name, canvas in made.items():
        paths[name] = FOLDER / f"{name}.svg"
        canvas.savefig(paths[name], metadata={"Date": None})
    return paths


def _start(part: Part) -> Canvas:
    canvas = Canvas(figsize=(7, 2.8), layout="constrained")
    axes = canvas.add_subplot()
    bars = [
        (f"{tool}: {row}" if tool == KERNELSCOPE else tool, median(values), tool)
        for row in part.rows
        for tool in _LOOK
        if (values := part.values(row, "ms to attached", tool))
        and (tool == KERNELSCOPE or row == part.rows[0])
    ]
    names = [name for name, _, _ in bars]
    lengths = [length for _, length, _ in bars]
    axes.barh(names, lengths, color=[_LOOK[tool][0] for _, _, tool in bars])
    axes.set_xscale("log")
    axes.set_xlabel("ms to attached")
    axes.invert_yaxis()
    return canvas


def _events(part: Part) -> Canvas:
    rows = [row for row in part.rows if row.endswith(" 40 bytes")]
    names = [row.partition(", ")[0] for row in rows]
    measures = ("share delivered", "CPU s per M", "traced program: times as slow")
    canvas = Canvas(figsize=(9, 3), layout="constrained")
    for place, measure in enumerate(measures, 1):
        axes = canvas.add_subplot(1, 3, place)
        for tool, (colour, marker) in _LOOK.items():
            values = [part.values(row, measure, tool) for row in rows]
            middle = [median(each) if each else float("nan") for each in values]
            axes.plot(names, middle, color=colour, marker=marker, label=tool)
        if measure != "share delivered":
            axes.set_yscale("log")
        axes.set_title(measure, fontsize=9)
        axes.tick_params(axis="x", rotation=40, labelsize=7)
    axes.legend(fontsize=7)
    return canvas


def _maps(part: Part) -> Canvas:
    rows = [row for row in part.rows if " scalar " in row]
    canvas = Canvas(figsize=(5, 3), layout="constrained")
    axes = canvas.add_subplot()
    keys = [int(row.split()[0].replace(",", "")) for row in rows]
    for tool, (colour, marker) in _LOOK.items():
        values = [median(part.values(row, "ms to a DataFrame", tool)) for row in rows]
        axes.plot(keys, values, color=colour, marker=marker, label=tool)
    axes.set(xscale="log", yscale="log", xlabel="keys", ylabel="ms to a DataFrame")
    axes.legend(fontsize=7)
    return canvas


def _soak(soak: dict[str, Any]) -> Canvas:
    canvas = Canvas(figsize=(7, 2.6), layout="constrained")
    axes = canvas.add_subplot()
    minutes = [each["s"] / 60 for each in soak["samples"]]
    for key, label, tool in (
        ("notebook_mib", "notebook", KERNELSCOPE),
        ("agent_mib", "agent", BCC),
    ):
        values = [each[key] for each in soak["samples"]]
        axes.plot(minutes, values, color=_LOOK[tool][0], label=label)
    axes.set(xlabel="minutes", ylabel="MiB", ylim=(0, None))
    axes.legend()
    return canvas
