"""How the cost grows with the number of runs and with time; and the cost of a live view."""

from __future__ import annotations

import tempfile
from pathlib import Path

from benchmarks.measure.measurement import KERNELSCOPE, Figure, Form, kernelscope
from benchmarks.suites import live_cost as views

_LIVE = (("opensnoop", "heatmap"), ("syscount", "bars"))
_TOGETHER = (1, 2, 4, 8, 16, 32)
_DURATIONS_S = (1.0, 2.0, 4.0, 8.0)


def measure(form: Form) -> list[Figure]:
    """Concurrent runs, and seconds of a run."""
    together = _TOGETHER if form.full else (1, 8)
    durations = _DURATIONS_S if form.full else (1.0,)
    found = kernelscope("together", counts=list(together))
    figures = []
    for count in together:
        row, seen = f"{count} runs at a time", found[str(count)]
        figures += [
            Figure(row, "ms until all are attached", KERNELSCOPE, seen["attached_s"] * 1e3),
            Figure(row, "MiB of the agent, for each", KERNELSCOPE, seen["agent_mib"] / count),
            Figure(row, "events lost", KERNELSCOPE, seen["lost"]),
            Figure(row, "idle: CPU % of one, all", KERNELSCOPE, seen["idle"] * 100),
        ]
    for seconds in durations:
        seen = kernelscope("events", size=40, rate=1e5, seconds=seconds)
        row = f"{seconds:.0f} s at 100,000 events/s"
        figures += [
            Figure(row, "CPU s per M", KERNELSCOPE, seen["cpu_s"] / seen["delivered"] * 1e6),
            Figure(row, "events lost", KERNELSCOPE, seen["events"] - seen["delivered"]),
            Figure(row, "MiB at the peak", KERNELSCOPE, seen["peak_mib"]),
        ]
    return figures


def live(form: Form) -> list[Figure]:
    """A view in a real kernel, at three rates of events."""
    figures = []
    with tempfile.TemporaryDirectory() as folder:
        notebook = views.Notebook(Path(folder))
        try:
            for probe, view in _LIVE if form.full else _LIVE[:1]:
                for rate in views.RATES if form.full else (1_000,):
                    seen = views.measure(notebook, probe, view, rate, 4.0)
                    row = f"{probe}, {view}, {rate:,}/s"
                    figures += [
                        Figure(row, "frames/s", KERNELSCOPE, seen.frames),
                        Figure(row, "CPU % of one", KERNELSCOPE, seen.cpu * 100),
                        Figure(row, "events/s", KERNELSCOPE, seen.events),
                        Figure(row, "KB a frame", KERNELSCOPE, seen.picture / 1000),
                    ]
        finally:
            notebook.close()
    return figures
