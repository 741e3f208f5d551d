"""How long an event in the kernel takes to the pixel, in JupyterLab.

    python -m benchmarks.suites.live_latency

JupyterLab in a headless Chromium shows `%ebpf live opensnoop --view bars` of a load that opens one
file at a steady rate. From time to time the load opens a new file, and notes CLOCK_MONOTONIC just
before. The page examines every picture that it shows: if it has one more line of text than before,
the page notes the second animation frame after it, when the first has been passed to the screen.
That is too late by up to one frame (17 ms), never too early. The clocks of the page and of the load
are compared before and after; the uncertainty of their difference is shown with the result.
"""

from __future__ import annotations

import argparse
import json
import random
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from benchmarks.measure import processes
from benchmarks.measure.measurement import RESULTS
from benchmarks.suites import live_cost
from tools.browser.jupyter_lab import Lab, opened
from tools.browser.live_view import events, press, status

# Used by live_soak.py as well.
__all__ = ["SIZE", "Page", "events", "load", "opened", "press", "status"]

KEPT = RESULTS / "live_latency.json"
SOURCE = live_cost.ROOT / "workloads" / "bench" / "opens.c"
MARKS = 21
SIZE = {"width": 1000, "height": 1000}
_BARS = 7  # marks before the view is reset: about ten have room
_PATIENCE_S = 60.0
_SETTLE_MS = 3000

# A line of text is a run of rows with ink in the column of the bars' names.
_LOOK = """img => {
    const pen = document.createElement("canvas").getContext("2d", {willReadFrequently: true});
    const lines = () => {
        const [width, height] = [200, img.naturalHeight];
        [pen.canvas.width, pen.canvas.height] = [width, height];
        pen.drawImage(img, 0, 0);
        const pixels = new Uint32Array(pen.getImageData(0, 0, width, height).data.buffer);
        let [found, inside] = [0, false];
        for (let y = 0; y < height; y++) {
            const row = pixels.subarray(y * width, (y + 1) * width);
            const ink = row.some(pixel => pixel !== pixels[0]);
            found += ink && !inside;
            inside = ink;
        }
        return found;
    };
    const seen = window.kernelscopeSeen = {frames: 0, lines: 0, more: []};
    img.addEventListener("load", () => {
        seen.frames += 1;
        const now = lines();
        const grew = now > seen.lines;
        seen.lines = now;
        if (grew) requestAnimationFrame(() => requestAnimationFrame(
            () => seen.more.push([performance.now(), now])));
    });
}"""


class Load:
    """The load of opens.c, which opens a path on request."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self.process = process

    def mark(self, path: str) -> int:
        """Return the time, in ns of CLOCK_MONOTONIC, just before the path was opened."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(f"{path}\n".encode())
        self.process.stdin.flush()
        return int(self.process.stdout.readline())


@contextmanager
def load(rate: int, folder: Path) -> Iterator[Load]:
    """Make this many events per second, and marks on request."""
    program = folder / "opens"
    if not program.exists():
        subprocess.run(["cc", "-O2", "-o", program, SOURCE], check=True)
    command = [str(program), str(rate)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        try:
            assert process.stdout is not None
            process.stdout.readline()
            yield Load(process)
        finally:
            process.kill()


class Page:
    """A notebook in JupyterLab with live views; the bytes that its socket receives are counted."""

    def __init__(self, lab: Lab, folder: Path) -> None:
        self.lab = lab
        self.folder = folder
        self.received = 0
        lab.run(0)
        self.pid = int(lab.run(1).inner_text())
        self._tap = lab.page.context.new_cdp_session(lab.page)
        self._tap.on("Network.webSocketFrameReceived", self._count)
        self._tap.send("Network.enable")

    def _count(self, told: dict[str, Any]) -> None:
        frame = told["response"]
        size = len(frame["payloadData"])
        self.received += (
            size * 3 // 4 if frame["opcode"] == 2 else size
        )  # binary data arrives as base64

    def show(self, cell: int, line: str) -> None:
        """Put a line into a cell, run it, and wait until its view runs steadily."""
        self.lab.type(cell, line)
        self.lab.run(cell)
        shown = self.lab.output(cell)
        status(shown).filter(has_text=re.compile("running")).wait_for()
        shown.locator("img").first.evaluate(_LOOK)
        self.lab.page.wait_for_timeout(_SETTLE_MS)

    def seen(self) -> Any:
        """Return the page's notes."""
        return self.lab.page.evaluate("kernelscopeSeen")

    def clock(self) -> tuple[float, float]:
        """Return how far CLOCK_MONOTONIC is ahead of the page's clock, and the error; in ms."""
        best, ahead = float("inf"), 0.0
        for _ in range(50):
            before = time.monotonic_ns() / 1e6
            page = self.lab.page.evaluate("performance.now()")
            took = time.monotonic_ns() / 1e6 - before
            if took < best:
                best, ahead = took, before + took / 2 - page
        return ahead, best / 2

    def agent(self) -> list[int]:
        """Return the processes of the agent: all children of the kernel."""
        return list(processes.below(self.pid))


def to_pixel(page: Page, cell: int, made: Load, marks: int, ahead_ms: float) -> list[float]:
    """Return the milliseconds from each mark to its pixels."""
    found: list[float] = []
    wait = page.lab.page.wait_for_timeout
    base = page.seen()["lines"]
    for number in range(marks):
        if number and number % _BARS == 0:
            press(page.lab.output(cell), "reset")
            _until(lambda: page.seen()["lines"] == base, wait)
        known = len(page.seen()["more"])
        wait(random.uniform(300, 800))  # so that it does not run in step with the frames
        at_ms = made.mark(f"/dev/mark-{number}") / 1e6
        _until(lambda known=known: len(page.seen()["more"]) > known, wait)
        shown_ms, _ = page.seen()["more"][known]
        found.append(shown_ms + ahead_ms - at_ms)
    return found


def _until(holds: Any, wait: Any) -> None:
    end = time.monotonic() + _PATIENCE_S
    while not holds():
        if time.monotonic() > end:
            raise TimeoutError("the page did not show it")
        wait(50)


@dataclass
class Figures:
    """What the page showed of one load, and its cost; CPU is a share of one CPU."""

    asked: int
    events: float
    frames: float
    frame_kb: float
    cpu: float
    agent_cpu: float
    said: str
    to_pixel_ms: list[float]
    clock_error_ms: float


def steady(page: Page, cell: int, seconds: float) -> dict[str, Any]:
    """Return what an undisturbed view does."""
    shown, agent = page.lab.output(cell), page.agent()

    def now() -> list[float]:
        cpu = processes.cpu_s([page.pid]), processes.cpu_s(agent)
        seen = page.seen()["frames"], page.received, events(shown)
        return [time.monotonic(), *cpu, *seen]

    before = now()
    page.lab.page.wait_for_timeout(seconds * 1000)
    took, cpu, agent_cpu, frames, received, counted = (
        after - first for after, first in zip(now(), before, strict=True)
    )
    return {
        "events": counted / took,
        "frames": frames / took,
        "frame_kb": received / max(1, frames) / 1000,
        "cpu": cpu / took,
        "agent_cpu": agent_cpu / took,
        "said": " | ".join(status(shown).inner_text().splitlines()),
    }


def measure(page: Page, cell: int, rate: int, marks: int, seconds: float) -> Figures:
    """Measure one load."""
    with load(rate, page.folder) as made:
        page.show(cell, f"%ebpf live opensnoop --view bars --pid {made.process.pid}")
        found = steady(page, cell, seconds)
        before_ms, error_ms = page.clock()
        latencies = to_pixel(page, cell, made, marks, before_ms)
        drift_ms = abs(page.clock()[0] - before_ms)
        press(page.lab.output(cell), "stop")
    latencies = [round(each, 1) for each in latencies]
    return Figures(
        rate, **found, to_pixel_ms=latencies, clock_error_ms=round(error_ms + drift_ms, 2)
    )


def table(found: Sequence[Figures]) -> str:
    """Return the figures as Markdown."""
    lines = [
        "| events/s | frames/s | KB a frame | CPU of the notebook's kernel | of the agent "
        "| event to pixel: median | 90% within | of |",
        "|---:|---:|---:|---:|---:|---:|---:|---:|",
    ]
    for each in found:
        ms = sorted(each.to_pixel_ms)
        within = ms[min(len(ms) - 1, round(0.9 * len(ms)))]
        lines.append(
            f"| {each.events:,.0f} | {each.frames:.1f} | {each.frame_kb:.1f} | {each.cpu:.0%} "
            f"| {each.agent_cpu:.0%} | {statistics.median(ms):.0f} ms | {within:.0f} ms "
            f"| {len(ms)} |"
        )
    error = max((each.clock_error_ms for each in found), default=0)
    return "\n".join([*lines, "", f"The clocks agree within {error:.1f} ms."])


def kept_table() -> str:
    """Return the last stored figures as Markdown, or ""."""
    if not KEPT.exists():
        return ""
    return table([Figures(**each) for each in json.loads(KEPT.read_text())["found"]])


def main() -> None:
    """Measure, print and store."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.suites.live_latency", description=__doc__
    )
    parser.add_argument("--marks", type=int, default=MARKS, help=f"for each rate ({MARKS})")
    parser.add_argument("--seconds", type=float, default=10, help="undisturbed, for each rate (10)")
    parser.add_argument(
        "--rate", type=int, action="append", help="only this rate; the result is not stored"
    )
    options = parser.parse_args()
    rates = options.rate or live_cost.RATES
    cells = ["%load_ext kernelscope", "import os; print(os.getpid())", *[""] * len(rates)]
    found = []
    with tempfile.TemporaryDirectory() as folder, opened(Path(folder), cells, viewport=SIZE) as lab:
        page = Page(lab, Path(folder))
        for cell, rate in enumerate(rates, 2):
            found.append(measure(page, cell, rate, options.marks, options.seconds))
            sys.stderr.write(f"{found[-1].said}\n")
    if not options.rate:
        kept = {"at": time.strftime("%Y-%m-%d"), "found": [asdict(each) for each in found]}
        KEPT.write_text(json.dumps(kept, indent=1) + "\n")
    sys.stdout.write(table(found) + "\n")


if __name__ == "__main__":
    main()
