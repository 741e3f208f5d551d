"""Ten minutes of a live view at 100,000 events per second: is its memory flat?

    python -m benchmarks.suites.live_soak

JupyterLab in a headless Chromium shows `%ebpf live opensnoop` with a window of ten minutes, while
the load of opens.c opens files. The memory of the notebook's kernel, of its agent and of the page
is read every ten seconds, and results/live_soak.json is written each time.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from benchmarks.measure import processes
from benchmarks.measure.measurement import RESULTS
from benchmarks.suites import live_latency
from benchmarks.suites.live_latency import events, opened, press, status

KEPT = RESULTS / "live_soak.json"
EVERY_S = 10.0
GOAL_MIB = 200  # allowed growth of the notebook's kernel, after it has loaded its libraries
LIBRARIES = "%load_ext kernelscope\nimport kernelscope.tables.collector, kernelscope.ui.live.open"
VIEW = "heatmap"


def sample(page: live_latency.Page, cell: int, begun: float) -> dict[str, float]:
    """Return the current state: MiB, seconds, and the view's status line."""
    shown, agent = page.lab.output(cell), page.agent()
    said = status(shown).inner_text()
    lost = re.search(r"([\d,]+) (lost|LOST)", said)
    rate = re.search(r"([\d.]+) of [\d.]+ frames per second", said)
    heap = page.lab.page.evaluate("performance.memory.usedJSHeapSize")
    return {
        "s": round(time.monotonic() - begun, 1),
        "kernel_mib": round(processes.resident_mib([page.pid]), 1),
        "agent_mib": round(processes.resident_mib(agent), 1),
        "page_mib": round(heap / 2**20, 1),
        "kernel_cpu_s": processes.cpu_s([page.pid]),
        "agent_cpu_s": processes.cpu_s(agent),
        "events": events(shown),
        "lost": int(lost[1].replace(",", "")) if lost else 0,
        "frames": float(rate[1]) if rate else 0.0,
    }


def soak(seconds: float, rate: int, out: Path) -> dict[str, Any]:
    """Run and return the samples; they are written to `out` along the way."""
    found: dict[str, Any] = {"at": time.strftime("%Y-%m-%d"), "rate": rate, "seconds": seconds}
    samples: list[dict[str, float]] = []
    found["samples"] = samples
    cells = [LIBRARIES, "import os; print(os.getpid())", ""]
    with (
        tempfile.TemporaryDirectory() as folder,
        opened(Path(folder), cells, viewport=live_latency.SIZE) as lab,
    ):
        page = live_latency.Page(lab, Path(folder))
        found["before_mib"] = round(processes.resident_mib([page.pid]), 1)
        with live_latency.load(rate, Path(folder)) as made:
            line = f"%ebpf live opensnoop --view {VIEW} --window 10m --pid {made.process.pid}"
            page.show(2, line)
            begun = time.monotonic()
            while not samples or samples[-1]["s"] < seconds:
                samples.append(sample(page, 2, begun))
                out.write_text(json.dumps(found) + "\n")
                lab.page.wait_for_timeout(EVERY_S * 1000)
            found["said"] = status(lab.output(2)).inner_text().splitlines()
            press(lab.output(2), "stop")
    out.write_text(json.dumps(found) + "\n")
    return found


def table(found: dict[str, Any]) -> str:
    """Return the samples as Markdown: one row per minute, and the growth of memory."""
    samples = found["samples"]
    first, last = samples[0], samples[-1]
    took = max(1.0, last["s"] - first["s"])
    lines = [
        "| minute | events | lost | frames/s | MiB of the notebook's kernel | of the agent "
        "| of the page's objects |",
        "|---:|---:|---:|---:|---:|---:|---:|",
    ]
    lines += [
        f"| {each['s'] / 60:.0f} | {each['events']:,} | {each['lost']:,} | {each['frames']:.1f} "
        f"| {each['kernel_mib']:.0f} | {each['agent_mib']:.0f} | {each['page_mib']:.0f} |"
        for each in _every_minute(samples)
    ]
    most = max(each["kernel_mib"] for each in samples) - found["before_mib"]
    cpu = (last["kernel_cpu_s"] - first["kernel_cpu_s"]) / took
    rate = (last["events"] - first["events"]) / took
    met = "met" if most <= GOAL_MIB else "**missed**"
    said = (
        f"{rate:,.0f} events per second; the notebook's kernel took {cpu:.0%} of one CPU, and held "
        f"at most {most:.0f} MiB more than before the view; goal ≤ {GOAL_MIB}: {met}."
    )
    return "\n".join([*lines, "", said])


def _every_minute(samples: list[dict[str, float]]) -> Iterator[dict[str, float]]:
    minute = -1.0
    for each in samples:
        if each["s"] // 60 > minute:
            minute = each["s"] // 60
            yield each


def kept_table() -> str:
    """Return the last stored result as Markdown, or ""."""
    return table(json.loads(KEPT.read_text())) if KEPT.exists() else ""


def main() -> None:
    """Measure, print and store."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.suites.live_soak")
    parser.add_argument("--seconds", type=float, default=600)
    parser.add_argument("--rate", type=int, default=100_000)
    parser.add_argument("--out", type=Path, default=KEPT)
    options = parser.parse_args()
    sys.stdout.write(table(soak(options.seconds, options.rate, options.out)) + "\n")


if __name__ == "__main__":
    main()
