"""What a live view costs at 10, 1,000 and 100,000 events per second.

    python -m benchmarks.suites.live_cost

An IPython kernel runs `%ebpf live`; this program acts as its page and counts messages. A load makes
open calls at a steady rate, which opensnoop records one by one and syscount counts in a map.
"""

from __future__ import annotations

import argparse
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jupyter_client.manager import KernelManager

ROOT = Path(__file__).resolve().parents[2]
RATES = (10, 1_000, 100_000)
VIEWS = (
    ("opensnoop", "heatmap"), ("opensnoop", "distribution"), ("opensnoop", "bars"),
    ("syscount", "bars"), ("syscount", "distribution"), ("syscount", "percentiles"),
)  # fmt: skip
_PATIENCE_S = 60.0
_SETTLE_S = 3.0
_TICK = os.sysconf("SC_CLK_TCK")

# Each event is one openat: every 5 ms as many as are due, or one whenever it is due.
LOAD = """
import os, sys, time
rate, path = float(sys.argv[1]), b"/dev/null"
begun, made = time.monotonic(), 0
os.write(1, b"\\n")
while True:
    due = int((time.monotonic() - begun) * rate)
    for _ in range(due - made):
        os.close(os.open(path, 0))
    made = due
    time.sleep(max(0.005, 1 / rate / 4))
"""


@dataclass
class Figures:
    """What one view did during a measurement; bytes count only the pictures."""

    probe: str
    view: str
    asked: int
    events: float
    frames: float
    cpu: float
    picture: float
    grown_mb: float
    said: str


@contextmanager
def load(rate: int) -> Iterator[int]:
    """Make this many events per second; yields the process."""
    command = [sys.executable, "-I", "-S", "-c", LOAD, str(rate)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE)
    try:
        assert process.stdout is not None
        process.stdout.readline()
        yield process.pid
    finally:
        process.kill()
        process.wait()
        if process.stdout is not None:
            process.stdout.close()


class Notebook:
    """A kernel, and the messages it sends to its page."""

    def __init__(self, folder: Path) -> None:
        self.manager: Any = KernelManager()
        environment = {**os.environ, "PYTHONPATH": str(ROOT), "IPYTHONDIR": str(folder)}
        self.manager.start_kernel(env=environment, cwd=str(folder), stderr=subprocess.DEVNULL)
        self.client: Any = self.manager.client()
        self.client.start_channels()
        self.client.wait_for_ready(timeout=_PATIENCE_S)
        self.pid = int(self.do("import os; print(os.getpid())"))
        self.do("%load_ext kernelscope\nimport kernelscope.ui.live.open")

    def do(self, code: str) -> str:
        """Run a cell and return its output."""
        sent, shown = self.client.execute(code), []
        while True:
            message = self.client.get_iopub_msg(timeout=_PATIENCE_S)
            content = message["content"]
            if message["msg_type"] == "stream":
                shown.append(content["text"])
            if message["parent_header"].get("msg_id") != sent:
                continue
            if message["msg_type"] == "error":
                raise RuntimeError("\n".join(content["traceback"]))
            if message["msg_type"] == "status" and content["execution_state"] == "idle":
                return "".join(shown)

    def pictures(self, seconds: float) -> list[int]:
        """Return the sizes of the pictures that arrive in this time."""
        sizes, end = [], time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            try:
                message = self.client.get_iopub_msg(timeout=left)
            except Exception:  # queue.Empty: nothing more arrived
                break
            if message["msg_type"] == "comm_msg":
                sizes += [len(buffer) for buffer in message["buffers"]]
        return sizes

    def cpu_s(self) -> float:
        """Return the CPU seconds of the kernel's process."""
        fields = Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / _TICK

    def resident_mb(self) -> float:
        """Return how much memory it uses."""
        text = Path(f"/proc/{self.pid}/status").read_text()
        found = re.search(r"VmRSS:\s+(\d+)", text)
        return int(found[1]) / 1024 if found else 0.0

    def close(self) -> None:
        """End the kernel."""
        self.client.stop_channels()
        self.manager.shutdown_kernel(now=True)
        self.manager.cleanup_resources()


def measure(notebook: Notebook, probe: str, view: str, rate: int, seconds: float) -> Figures:
    """Measure one view of a load."""
    with load(rate) as pid:
        before_mb = notebook.resident_mb()
        notebook.do(f"%ebpf live {probe} --view {view} --pid {pid} -o seen")
        try:
            notebook.pictures(_SETTLE_S)
            cpu, begun = notebook.cpu_s(), time.monotonic()
            events = int(notebook.do("print(seen.panel.tracks[0].tracer.counter.counted)"))
            sizes = notebook.pictures(seconds)
            took, spent = time.monotonic() - begun, notebook.cpu_s() - cpu
            counted = int(notebook.do("print(seen.panel.tracks[0].tracer.counter.counted)"))
            said = notebook.do(
                "from kernelscope.ui.live.widgets import status\n"
                "print(status.facts(seen.panel.tracks[0].tracer).text())"
            )
            grown = notebook.resident_mb() - before_mb
        finally:
            notebook.do("seen.close()")
    mean = sum(sizes) / max(1, len(sizes))
    made = (counted - events) / took
    return Figures(
        probe, view, rate, made, len(sizes) / took, spent / took, mean, grown, said.strip()
    )


def table(found: list[Figures]) -> str:
    """Return the figures as Markdown."""
    lines = [
        "| probe | view | events/s | frames/s | CPU of the kernel's process | KB a frame | + MB |",
        "|---|---|---:|---:|---:|---:|---:|",
    ]
    lines += [
        f"| {each.probe} | {each.view} | {each.events:,.0f} | {each.frames:.1f} "
        f"| {each.cpu:.0%} of one | {each.picture / 1000:.1f} | {each.grown_mb:+.0f} |"
        for each in found
    ]
    return "\n".join(lines)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="benchmarks.suites.live_cost", description=__doc__)
    parser.add_argument("--seconds", type=float, default=10, help="for each view (10)")
    parser.add_argument("--rate", type=int, action="append", help="this rate only")
    parser.add_argument("--probe", action="append", help="this probe only")
    options = parser.parse_args()
    found = []
    with tempfile.TemporaryDirectory() as folder:
        notebook = Notebook(Path(folder))
        try:
            for probe, view in VIEWS:
                for rate in options.rate or RATES:
                    if options.probe and probe not in options.probe:
                        continue
                    found.append(measure(notebook, probe, view, rate, options.seconds))
                    sys.stderr.write(f"{found[-1].said}\n")
        finally:
            notebook.close()
    sys.stdout.write(table(found) + "\n")


if __name__ == "__main__":
    main()
